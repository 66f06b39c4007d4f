// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/message_socket.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/fd_passing.h"

namespace vmm::sys_util {
namespace {

using Clock = std::chrono::steady_clock;

/// How much room there is for what has not come yet.
constexpr std::size_t kRoomBytes = 65536;

/// Waits until the socket is ready. Errors: ETIMEDOUT, also when it would be ready after the
/// deadline: a peer that gives a byte now and then does not get more time by that. Those of
/// poll(2).
Result<void> wait_for(int fd, short events, Clock::time_point deadline) {
  for (;;) {
    const auto left = std::chrono::ceil<MessageSocket::Milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return fail(Error::os(ETIMEDOUT, "wait for a peer"));
    pollfd one{.fd = fd, .events = events, .revents = 0};
    const int ready = ::poll(&one, 1, static_cast<int>(left.count()));
    if (ready > 0) return {};
    if (ready < 0 && errno != EINTR) return fail(Error::from_errno("poll"));
  }
}

bool would_block(const Error& error) { return error.is_os(EAGAIN); }

/// What passes by itself, and is not the peer's doing.
bool is_shortage(const Error& error) {
  return error.is_os(ENOMEM) || error.is_os(ENOBUFS) || error.is_os(ETOOMANYREFS);
}

constexpr int kPauseMs = 1;

}  // namespace

Result<MessageSocket> MessageSocket::adopt(UniqueFd socket, Format format) {
  if (format.header_bytes == 0 || format.header_bytes > kMaxHeaderBytes) {
    return fail(Error::os(EINVAL, "a message's header"));
  }
  VMM_TRY_DO(set_nonblocking(socket.get(), "message socket: O_NONBLOCK"));
  return MessageSocket(std::move(socket), std::move(format));
}

void MessageSocket::forget() {
  for (UniqueFd& fd : fds()) fd.reset();
  fd_count_ = 0;
  header_got_ = 0;
  payload_got_ = 0;
  payload_bytes_ = 0;
  complete_ = false;
  if (payload_.size() > kRoomBytes) payload_ = std::vector<std::byte>(kRoomBytes);
}

Result<MessageSocket::Event> MessageSocket::receive() {
  if (complete_) forget();
  if (header_got_ < format_.header_bytes) {
    VMM_TRY(const Event event, receive_header());
    if (event != Event::kMessage) return event;
  }
  VMM_TRY(const Event event, receive_payload());
  complete_ = event == Event::kMessage;
  return event;
}

// A descriptor that comes where none may is lost, and so is its message.
Result<MessageSocket::Event> MessageSocket::receive_header() {
  const auto bytes = std::span(header_).first(format_.header_bytes);
  while (header_got_ < bytes.size()) {
    const auto room = header_got_ == 0 ? std::span(fds_) : std::span<UniqueFd>();
    const auto received = receive_with_fds(socket_.get(), bytes.subspan(header_got_), room);
    if (!received && would_block(received.error())) return Event::kNothing;
    VMM_TRY_DO(received);
    if (received->bytes == 0) {
      if (header_got_ != 0) return fail(Error::os(ENODATA, "receive a message"));
      return Event::kClosed;
    }
    if (header_got_ == 0) fd_count_ = received->fds;
    header_got_ += received->bytes;
  }
  VMM_TRY(payload_bytes_, format_.payload_bytes(bytes));
  return Event::kMessage;
}

Result<MessageSocket::Event> MessageSocket::receive_payload() {
  while (payload_got_ < payload_bytes_) {
    const std::size_t room = std::min(payload_bytes_, payload_got_ + kRoomBytes);
    if (payload_.size() < room) payload_.resize(room);
    const auto to = std::span(payload_).first(room).subspan(payload_got_);
    const auto received = receive_with_fds(socket_.get(), to, {});
    if (!received && would_block(received.error())) return Event::kNothing;
    VMM_TRY_DO(received);
    if (received->bytes == 0) return fail(Error::os(ENODATA, "receive a message"));
    payload_got_ += received->bytes;
  }
  return Event::kMessage;
}

Result<MessageSocket::Event> MessageSocket::wait(Milliseconds patience) {
  const auto deadline = Clock::now() + patience;
  for (;;) {
    VMM_TRY(const Event event, receive());
    if (event != Event::kNothing) return event;
    VMM_TRY_DO(wait_for(socket_.get(), POLLIN, deadline));
  }
}

Result<void> MessageSocket::send(std::span<const std::byte> header,
                                 std::span<const std::byte> payload, std::span<const int> fds,
                                 Milliseconds patience) const {
  std::array<std::span<const std::byte>, 2> parts{header, payload};
  const auto deadline = Clock::now() + patience;
  for (bool first = true; !parts[0].empty() || !parts[1].empty(); first = false) {
    if (!first) VMM_TRY_DO(wait_for(socket_.get(), POLLOUT, deadline));
    const auto sent = send_with_fds(socket_.get(), parts, fds);
    if (!sent && would_block(sent.error())) continue;
    if (!sent && is_shortage(sent.error()) && Clock::now() < deadline) {
      (void)::poll(nullptr, 0, kPauseMs);  // the socket itself may be writable all the time
      continue;
    }
    VMM_TRY_DO(sent);
    fds = {};  // they went with the first byte
    std::size_t left = *sent;
    for (auto& part : parts) {
      const std::size_t taken = std::min(left, part.size());
      part = part.subspan(taken);
      left -= taken;
    }
  }
  return {};
}

}  // namespace vmm::sys_util
