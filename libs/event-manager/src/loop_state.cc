// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "loop_state.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <span>
#include <utility>

#include "vmm/base/assert.h"
#include "vmm/base/log.h"

namespace vmm::event_manager::detail {
namespace {

constexpr std::uint64_t make_token(std::uint32_t index, std::uint32_t generation) {
  return (std::uint64_t{generation} << 32) | index;
}
constexpr std::uint32_t index_of(std::uint64_t token) { return static_cast<std::uint32_t>(token); }
constexpr std::uint32_t generation_of(std::uint64_t token) {
  return static_cast<std::uint32_t>(token >> 32);
}

int epoll_timeout(std::chrono::milliseconds timeout) {
  if (timeout.count() < 0) return -1;
  constexpr std::int64_t kMax = std::numeric_limits<int>::max();
  return static_cast<int>(std::min<std::int64_t>(timeout.count(), kMax));
}

}  // namespace

LoopState::LoopState(sys_util::Epoll epoll, sys_util::Mapping events, std::size_t events_per_round,
                     std::shared_ptr<Mailbox> mailbox)
    : epoll_(std::move(epoll)),
      events_(std::move(events)),
      events_per_round_(events_per_round),
      mailbox_(std::move(mailbox)) {}

Result<void> LoopState::watch_mailbox() {
  return epoll_.add(mailbox_->wake_fd(), kReadable, kMailboxToken);
}

LoopState::Slot* LoopState::find(std::uint64_t token) {
  const std::uint32_t index = index_of(token);
  if (index >= slots_.size()) return nullptr;
  Slot& found = *slots_[index];
  return found.generation == generation_of(token) ? &found : nullptr;
}

std::uint32_t LoopState::allocate_slot() {
  if (!free_.empty()) {
    const std::uint32_t index = free_.back();
    free_.pop_back();
    return index;
  }
  slots_.push_back(std::make_unique<Slot>());
  return static_cast<std::uint32_t>(slots_.size() - 1);
}

/// Destroys the handler of a slot and lets others have the slot.
void LoopState::give_up(std::uint32_t index) {
  EventLoop::Handler gone;  // destroyed last, as it may own other registrations
  gone.swap(slots_[index]->handler);
  free_.push_back(index);
}

Result<std::uint64_t> LoopState::add(int fd, EventSet interest, EventLoop::Handler& handler) {
  if (!handler) return fail(Error::os(EINVAL, "add to event loop"));
  const std::uint32_t index = allocate_slot();
  Slot& taken = *slots_[index];
  const std::uint64_t token = make_token(index, taken.generation);
  if (const Result<void> added = epoll_.add(fd, interest, token); !added) {
    free_.push_back(index);
    return fail(added.error());
  }
  taken.handler.swap(handler);
  taken.fd = fd;
  return token;
}

Result<void> LoopState::modify(std::uint64_t token, EventSet interest) {
  const Slot* found = find(token);
  if (closed_ || found == nullptr) return fail(Error::os(ENOENT, "modify registration"));
  return epoll_.modify(found->fd, interest, token);
}

void LoopState::remove(std::uint64_t token) noexcept {
  Slot* found = find(token);
  if (closed_ || found == nullptr) return;
  // Fails when the caller closed the descriptor first; the generation then stops its events.
  static_cast<void>(epoll_.remove(found->fd));
  ++found->generation;
  if (found == current_) {
    drop_current_ = true;  // the handler is running: dispatch() destroys it afterwards
    return;
  }
  give_up(index_of(token));
}

Result<std::size_t> LoopState::run_once(std::chrono::milliseconds timeout) {
  if (running_) return fail(Error::os(EDEADLK, "run event loop"));
  const std::span<sys_util::EpollEvent> ready(
      reinterpret_cast<sys_util::EpollEvent*>(events_.data()), events_per_round_);
  const Result<std::size_t> count = epoll_.wait(ready, epoll_timeout(timeout));
  if (!count) {
    if (count.error().is_os(EINTR)) return std::size_t{0};
    return fail(count.error());
  }
  running_ = true;
  mailbox_->set_loop_thread(std::this_thread::get_id());
  const std::size_t handled = dispatch(*count);
  if (handled != *count) run_posted();
  mailbox_->set_loop_thread({});
  running_ = false;
  return handled;
}

/// Calls the handlers of the events fetched; returns how many there were besides the mailbox.
std::size_t LoopState::dispatch(std::size_t count) {
  const auto* event = reinterpret_cast<const sys_util::EpollEvent*>(events_.data());
  const auto* const end = event + count;
  const std::span fetched(event, count);
  for (; event != end; ++event) {
    const std::uint64_t token = event->token;
    if (token == kMailboxToken) [[unlikely]] {
      --count;
      continue;
    }
    Slot& ready = *slots_[index_of(token)];
    if (ready.generation != generation_of(token)) [[unlikely]]
      continue;
    current_ = &ready;
    ready.handler(event->events());
    if (drop_current_) [[unlikely]] {
      drop_current_ = false;
      current_ = nullptr;
      give_up(index_of(token));
    }
  }
  current_ = nullptr;
  if (only_hangups(fetched)) [[unlikely]] {
    note_only_hangups();
  } else {
    hangup_rounds_ = 0;
    spinning_ = false;
  }
  return count;
}

/// Whether there are hang-ups of registrations that are still there, and nothing else. What can be
/// read comes first: a handler may take it a piece a round.
bool LoopState::only_hangups(std::span<const sys_util::EpollEvent> events) {
  bool any = false;
  for (const sys_util::EpollEvent& event : events) {
    if (event.token == kMailboxToken) continue;
    const EventSet set = event.events();
    if (!set.has_any(kHangUp) || set.has_any(kReadable) || find(event.token) == nullptr) {
      return false;
    }
    any = true;
  }
  return any;
}

/// A handler that ignores a hang-up has the loop spin. One that attends to it in its next few
/// rounds does not yet.
void LoopState::note_only_hangups() {
  const std::size_t registrations = slots_.size() - free_.size();
  if (++hangup_rounds_ <= registrations) return;
  ++spinning_rounds_;
  if (std::exchange(spinning_, true)) return;
  VMM_LOG_GUEST(kWarn, "event loop: %zu rounds with nothing but hang-ups that no handler minds",
                hangup_rounds_);
}

void LoopState::run_posted() {
  for (const Mailbox::Function& function : mailbox_->collect()) function();
}

void LoopState::close() {
  VMM_ASSERT_ALWAYS(!running_);
  closed_ = true;
  // Destroying a handler or function may drop registrations, which do nothing by now.
  const std::vector<Mailbox::Function> posted = mailbox_->close();
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const EventLoop::Handler gone = std::exchange(slots_[i]->handler, nullptr);
  }
}

}  // namespace vmm::event_manager::detail
