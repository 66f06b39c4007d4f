// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/event_loop.h"

#include <sys/mman.h>

#include <cerrno>

#include "loop_state.h"

namespace vmm::event_manager {

Result<EventLoop> EventLoop::create(const Options& options) {
  if (options.events_per_round == 0 || options.events_per_round > sys_util::Epoll::kMaxEvents) {
    return fail(Error::os(EINVAL, "create event loop"));
  }
  VMM_TRY(sys_util::Epoll epoll, sys_util::Epoll::create());
  // A mapping, as pages that no event reaches then cost nothing.
  VMM_TRY(sys_util::Mapping events,
          sys_util::Mapping::create(options.events_per_round * sizeof(sys_util::EpollEvent),
                                    {.protection = PROT_READ | PROT_WRITE,
                                     .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE}));
  VMM_TRY(sys_util::EventFd wake, sys_util::EventFd::create());
  auto mailbox = std::make_shared<detail::Mailbox>(std::move(wake));
  auto state = std::make_shared<detail::LoopState>(std::move(epoll), std::move(events),
                                                   options.events_per_round, mailbox);
  VMM_TRY_DO(state->watch_mailbox());
  return EventLoop(std::move(state), Poster(std::move(mailbox)));
}

EventLoop& EventLoop::operator=(EventLoop&& other) noexcept {
  EventLoop old(std::move(other));
  state_.swap(old.state_);
  std::swap(poster_, old.poster_);
  return *this;
}

EventLoop::~EventLoop() {
  if (state_ != nullptr) state_->close();
}

Result<Registration> EventLoop::add(int fd, EventSet interest, Handler handler) {
  VMM_TRY(const std::uint64_t token, state_->add(fd, interest, handler));
  return Registration(state_, token);
}

Result<void> EventLoop::run() {
  state_->set_stopped(false);
  while (!state_->stopped()) VMM_TRY_DO(run_once());
  return {};
}

Result<std::size_t> EventLoop::run_once(std::chrono::milliseconds timeout) {
  return state_->run_once(timeout);
}

int EventLoop::fd() const { return state_->fd(); }

std::uint64_t EventLoop::spinning_rounds() const { return state_->spinning_rounds(); }

void EventLoop::stop() { state_->set_stopped(true); }

}  // namespace vmm::event_manager
