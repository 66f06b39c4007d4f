// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_clients.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "greeting.h"

namespace vmm::virtio_vsock {
namespace {

using event_manager::EventSet;

constexpr int kAcceptsPerEvent = 16;
constexpr std::chrono::milliseconds kRetryAfter{100};

}  // namespace

Result<void> HostClients::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY(watch_, loop.add(listener_, sys_util::kReadable, [this](EventSet) { accept_some(); }));
  return {};
}

void HostClients::accept_some() {
  for (int i = 0; i < kAcceptsPerEvent; ++i) {
    if (clients_.size() >= limits_.clients) return pause(true);
    UniqueFd socket(::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (socket) {
      add(std::move(socket));
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {  // no descriptors, no memory: later
      pause(true);
      retry_ = Clock::now() + kRetryAfter;
      if (on_deadline_) on_deadline_();
    }
    return;
  }
}

void HostClients::pause(bool paused) {
  if (paused == paused_) return;
  paused_ = paused;
  (void)watch_.modify(paused ? sys_util::kNoEvents : sys_util::kReadable);
}

void HostClients::add(UniqueFd socket) {
  auto client = std::make_unique<Client>();
  client->socket = std::move(socket);
  client->deadline = Clock::now() + limits_.greeting;
  auto watch = loop_->add(client->socket.get(), sys_util::kReadable | sys_util::kOnChange,
                          [this, one = client.get()](EventSet ready) { listen_to(*one, ready); });
  if (!watch) return;  // the client finds a closed socket
  client->watch = std::move(*watch);
  clients_.push_back(std::move(client));
  if (on_deadline_) on_deadline_();
}

// The line is looked at where it is, so that what follows stays in the socket.
void HostClients::listen_to(Client& client, EventSet ready) {
  std::array<char, kMaxGreeting> text;
  const int fd = client.socket.get();
  const ssize_t got = ::recv(fd, text.data(), text.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return;
  if (got <= 0) return remove(client);
  Greeting greeting;
  switch (parse_greeting({text.data(), static_cast<std::size_t>(got)}, &greeting)) {
    case GreetingState::kPartial:
      if (ready.has_any(sys_util::kHangUp)) remove(client);
      return;
    case GreetingState::kBad:
      return remove(client);
    case GreetingState::kDone:
      break;
  }
  (void)::recv(fd, text.data(), greeting.bytes, MSG_DONTWAIT);
  client.watch.reset();
  UniqueFd socket = std::move(client.socket);
  remove(client);
  on_greeting_(std::move(socket), greeting.port);
}

void HostClients::remove(Client& client) {
  std::erase_if(clients_, [&](const auto& one) { return one.get() == &client; });
  if (!retry_) pause(false);
}

void HostClients::postpone(Clock::duration by) {
  for (const auto& client : clients_) client->deadline += by;
}

void HostClients::expire(Clock::time_point now) {
  std::erase_if(clients_, [&](const auto& client) { return client->deadline <= now; });
  if (retry_ && *retry_ <= now) retry_.reset();
  if (!retry_ && clients_.size() < limits_.clients) pause(false);
}

void HostClients::clear() {
  clients_.clear();
  if (!retry_) pause(false);
}

}  // namespace vmm::virtio_vsock
