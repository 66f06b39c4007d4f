// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "socket_relay.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

namespace vmm::reference {
namespace {

using event_manager::EventSet;

constexpr std::size_t kPart = 16384;

// Sends what the other side takes now. False: it is gone.
bool send_some(int fd, std::string& bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    bytes.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

// Appends what is there, a part of it at most. False: the other side is gone.
bool receive_some(int fd, std::string& bytes) {
  std::array<char, kPart> part;
  iovec where{.iov_base = part.data(), .iov_len = part.size()};
  msghdr message{};
  message.msg_iov = &where;
  message.msg_iovlen = 1;
  // The control thread's filter knows no other call for this.
  const ssize_t got = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  bytes.append(part.data(), static_cast<std::size_t>(got));
  return got != 0;
}

}  // namespace

Result<std::unique_ptr<SocketRelay>> SocketRelay::create(UniqueFd console,
                                                         const sys_util::UnixListener& listener,
                                                         event_manager::EventLoop& loop) {
  std::unique_ptr<SocketRelay> relay(new SocketRelay(std::move(console), listener, loop));
  SocketRelay* self = relay.get();
  VMM_TRY(relay->listener_watch_,
          loop.add(listener.fd(), event_manager::kReadable, [self](EventSet) { self->accept(); }));
  VMM_TRY(relay->console_watch_,
          loop.add(self->console_.get(), event_manager::kReadable,
                   [self](EventSet ready) { self->console_is_ready(ready); }));
  return relay;
}

void SocketRelay::accept() {
  auto accepted = listener_.accept();
  if (!accepted || !*accepted || client_) return;  // closes who comes while there is a client
  client_ = *std::move(*accepted);
  typing_over_ = false;
  auto watch = loop_.add(client_.get(), event_manager::kReadable,
                         [this](EventSet ready) { client_is_ready(ready); });
  if (!watch) return client_.reset();
  client_watch_ = *std::move(watch);
  tell_client();
}

// What it has typed waits in its socket, which hangs up all the time: nobody watches that.
void SocketRelay::drop_client() {
  client_watch_.reset();
  UniqueFd gone = std::move(client_);
  if (!typing_over_ && !leaving_) leaving_ = std::move(gone);
}

void SocketRelay::console_is_ready(EventSet ready) {
  if (ready.has(event_manager::kWritable)) tell_console();
  if (leaving_) read_leaving();
  if (ready.has(event_manager::kReadable)) read_console();
  watch();
}

void SocketRelay::client_is_ready(EventSet ready) {
  if (ready.has(event_manager::kWritable)) tell_client();
  if (client_ && ready.has(event_manager::kReadable)) read_client();
  if (client_ && ready.has_any(event_manager::kError | event_manager::kHangUp)) drop_client();
  watch();
}

void SocketRelay::read_console() {
  if (!receive_some(console_.get(), said_)) return console_watch_.reset();
  if (client_) tell_client();
  if (said_.size() > kKept) said_.erase(0, said_.size() - kKept);
}

// Without anything there, too, it is over.
void SocketRelay::read_leaving() {
  if (!typed_.empty()) return;
  if (!receive_some(leaving_.get(), typed_) || typed_.empty()) leaving_.reset();
  tell_console();
}

void SocketRelay::read_client() {
  if (!typed_.empty() || leaving_) return;
  typing_over_ = !receive_some(client_.get(), typed_);
  tell_console();
}

void SocketRelay::tell_client() {
  if (!send_some(client_.get(), said_)) drop_client();
  watch();
}

void SocketRelay::tell_console() { (void)send_some(console_.get(), typed_); }

void SocketRelay::watch() {
  if (client_watch_) {
    const EventSet said = said_.empty() ? sys_util::kNoEvents : event_manager::kWritable;
    const bool listening = typed_.empty() && !typing_over_ && !leaving_;
    const EventSet typed = listening ? event_manager::kReadable : sys_util::kNoEvents;
    if (!client_watch_.modify(said | typed)) drop_client();
  }
  if (console_watch_) {
    const bool telling = !typed_.empty() || leaving_;
    const EventSet typed = telling ? event_manager::kWritable : sys_util::kNoEvents;
    if (!console_watch_.modify(event_manager::kReadable | typed)) console_watch_.reset();
  }
  if (!console_watch_) leaving_.reset();
}

}  // namespace vmm::reference
