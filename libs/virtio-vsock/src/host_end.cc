// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_end.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace vmm::virtio_vsock {
namespace {

using virtio_queue::Reader;
using virtio_queue::Writer;

constexpr std::size_t kPieces = 64;  // of a system call
using Pieces = std::array<IoVec, kPieces>;

std::size_t bytes_of(std::span<const IoVec> pieces) {
  std::size_t bytes = 0;
  for (const IoVec& piece : pieces) bytes += piece.bytes;
  return bytes;
}

std::array<IoVec, 2> pieces_of(const ByteRing::Parts& parts) {
  return {IoVec{parts[0].data(), parts[0].size()}, IoVec{parts[1].data(), parts[1].size()}};
}

msghdr header_for(std::span<const IoVec> pieces) {
  msghdr header{};
  header.msg_iov = const_cast<iovec*>(reinterpret_cast<const iovec*>(pieces.data()));
  header.msg_iovlen = pieces.size();
  return header;
}

// A peer that closed without reading all is told of once, before what it had sent.
ssize_t receive(int fd, std::span<const IoVec> pieces, int flags, int* received_flags) {
  msghdr header = header_for(pieces);
  ssize_t got = 0;
  bool told = false;
  do {
    got = ::recvmsg(fd, &header, MSG_DONTWAIT | flags);
  } while (got < 0 && (errno == EINTR || (errno == ECONNRESET && !std::exchange(told, true))));
  *received_flags = header.msg_flags;
  return got;
}

HostEnd::Received failed_read() {
  const bool again = errno == EAGAIN || errno == EWOULDBLOCK;
  return {.what = again ? HostEnd::Read::kNothing : HostEnd::Read::kEnd};
}

std::uint32_t end_flags(int received_flags) {
  return kEndOfMessage | ((received_flags & MSG_EOR) != 0 ? kEndOfRecord : 0);
}

}  // namespace

HostEnd::HostEnd(UniqueFd socket, SocketType type, std::uint32_t capacity)
    : socket_(std::move(socket)), type_(type), data_(capacity), lengths_(capacity) {}

std::uint32_t HostEnd::send(std::span<const IoVec> pieces, int flags) {
  const msghdr header = header_for(pieces);
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_NOSIGNAL | flags);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0) {
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      blocked_ = true;
    } else {
      open_ = false;
    }
    return 0;
  }
  if (static_cast<std::size_t>(sent) < bytes_of(pieces)) blocked_ = true;
  return static_cast<std::uint32_t>(sent);
}

std::uint32_t HostEnd::write(Reader payload, std::uint32_t flags) {
  if (!open_) return payload.remaining();
  return type_ == SocketType::kStream ? write_bytes(payload) : write_message(payload, flags);
}

std::uint32_t HostEnd::write_bytes(Reader payload) {
  std::uint32_t gone = 0;
  if (data_.empty()) blocked_ = false;
  while (!blocked_ && open_ && payload.remaining() != 0) {
    Pieces pieces;
    const std::size_t count = payload.unsafe_iovec(pieces);
    const std::uint32_t sent = send(std::span(pieces).first(count), 0);
    (void)payload.skip(sent);
    gone += sent;
  }
  if (!open_) return gone + payload.remaining() + give_up();
  keep(payload);
  return gone;
}

// A message goes out in one piece or not at all. An empty one cannot: a host would take it for the
// end of the connection.
std::uint32_t HostEnd::write_message(Reader payload, std::uint32_t flags) {
  const std::uint32_t bytes = payload.remaining();
  const bool ends = (flags & kEndOfMessage) != 0;
  const bool record = (flags & kEndOfRecord) != 0;
  if (ends && bytes != 0 && data_.empty()) {
    blocked_ = false;
    Pieces pieces;
    const std::span<const IoVec> listed = std::span(pieces).first(payload.unsafe_iovec(pieces));
    if (bytes_of(listed) == bytes && send(listed, record ? MSG_EOR : 0) == bytes) return bytes;
    if (!open_) return bytes;
  }
  keep(payload);
  unfinished_ += bytes;
  if (ends && unfinished_ != 0) keep_length(std::exchange(unfinished_, 0), record);
  return blocked_ ? 0 : flush_messages();
}

void HostEnd::keep(Reader payload) {
  const std::uint32_t bytes = std::min(payload.remaining(), data_.room());
  if (bytes == 0) return;
  for (const std::span<std::byte> part : data_.tail(bytes)) (void)payload.read_exact(part);
  data_.append(bytes);
}

// Seven bits a byte, the lowest first; the first of all bits says whether a record ends.
void HostEnd::keep_length(std::uint32_t bytes, bool end_of_record) {
  std::uint32_t rest = bytes << 1 | (end_of_record ? 1u : 0u);
  do {
    const bool more = rest >= 0x80;
    lengths_.tail(1)[0][0] = static_cast<std::byte>((rest & 0x7f) | (more ? 0x80 : 0));
    lengths_.append(1);
    rest >>= 7;
  } while (rest != 0);
}

std::uint32_t HostEnd::flush() {
  blocked_ = false;
  const std::uint32_t gone = type_ == SocketType::kStream ? flush_bytes() : flush_messages();
  end_if_finished();
  return gone;
}

std::uint32_t HostEnd::flush_bytes() {
  std::uint32_t gone = 0;
  while (!blocked_ && open_ && !data_.empty()) gone += send_head(data_.size(), 0);
  return open_ ? gone : gone + give_up();
}

std::uint32_t HostEnd::flush_messages() {
  std::uint32_t gone = 0;
  while (!blocked_ && open_ && !lengths_.empty()) {
    std::uint32_t length = 0;
    std::uint32_t digits = 0;
    for (bool more = true; more; ++digits) {
      const auto digit = std::to_integer<std::uint32_t>(lengths_.at(digits));
      length |= (digit & 0x7f) << (7 * digits);
      more = (digit & 0x80) != 0;
    }
    const std::uint32_t sent = send_head(length >> 1, (length & 1) != 0 ? MSG_EOR : 0);
    if (sent != 0) lengths_.drop(digits);
    gone += sent;
  }
  return open_ ? gone : gone + give_up();
}

std::uint32_t HostEnd::send_head(std::uint32_t bytes, int flags) {
  const std::uint32_t sent = send(pieces_of(data_.head(bytes)), flags);
  data_.drop(sent);
  return sent;
}

std::uint32_t HostEnd::give_up() {
  open_ = false;
  const std::uint32_t dropped = data_.size();
  data_.clear();
  lengths_.clear();
  unfinished_ = 0;
  return dropped;
}

void HostEnd::finish() {
  finishing_ = true;
  end_if_finished();
}

void HostEnd::end_if_finished() {
  if (!finishing_ || !flushed() || !socket_) return;
  finishing_ = false;
  (void)::shutdown(socket_.get(), SHUT_WR);
}

HostEnd::Received HostEnd::read(const Writer& to, std::uint32_t limit, std::uint32_t largest) {
  if (type_ != SocketType::kStream) return read_message(to, limit, largest);
  Pieces pieces;
  int flags = 0;
  const std::size_t count = to.unsafe_iovec(pieces, limit);
  const ssize_t got = receive(fd(), std::span(pieces).first(count), 0, &flags);
  if (got < 0) return failed_read();
  if (got == 0) return {.what = Read::kEnd};
  return {.what = Read::kData, .bytes = static_cast<std::uint32_t>(got)};
}

// The size is asked for first, as what does not fit would be lost.
HostEnd::Received HostEnd::read_message(const Writer& to, std::uint32_t limit,
                                        std::uint32_t largest) {
  if (!message_.empty()) return read_part(to, limit);
  int flags = 0;
  const ssize_t size = receive(fd(), {}, MSG_PEEK | MSG_TRUNC, &flags);
  if (size < 0) return failed_read();
  if (size == 0) return {.what = Read::kEnd};
  if (static_cast<std::size_t>(size) > std::min(largest, kMaxMessage)) {
    return {.what = Read::kTooLarge};
  }
  const auto bytes = static_cast<std::uint32_t>(size);
  Pieces pieces;
  const std::span<const IoVec> place =
      std::span(pieces).first(bytes <= limit ? to.unsafe_iovec(pieces, bytes) : 0);
  const bool fits = bytes_of(place) == bytes;
  const ssize_t got = fits ? receive(fd(), place, 0, &flags)
                           : receive(fd(), pieces_of(message_.tail(bytes)), 0, &flags);
  if (got < 0) return failed_read();
  if (fits) {
    return {
        .what = Read::kData, .bytes = static_cast<std::uint32_t>(got), .flags = end_flags(flags)};
  }
  message_.append(static_cast<std::uint32_t>(got));
  message_flags_ = end_flags(flags);
  return read_part(to, limit);
}

HostEnd::Received HostEnd::read_part(const Writer& to, std::uint32_t limit) {
  const std::uint32_t bytes = std::min(limit, message_.size());
  Writer copy = to;
  for (const std::span<std::byte> part : message_.head(bytes)) (void)copy.write(part);
  message_.drop(bytes);
  return {.what = Read::kData, .bytes = bytes, .flags = message_.empty() ? message_flags_ : 0};
}

void HostEnd::stop_reading() {
  if (socket_) (void)::shutdown(socket_.get(), SHUT_RD);
}

}  // namespace vmm::virtio_vsock
