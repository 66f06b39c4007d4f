// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/connection.h"

#include <cerrno>

#include "vmm/base/payload.h"

namespace vmm::vhost_user {
namespace {

using sys_util::MessageSocket;

Result<std::size_t> payload_bytes(const Dialect& dialect, std::span<const std::byte> bytes) {
  const Header header = *exactly_as<Header>(bytes);
  if ((header.flags & kVersionMask) != dialect.version ||
      (header.flags & ~dialect.known_flags) != 0) {
    return fail(MessageError::kBadVersion);
  }
  if (header.size > dialect.max_payload) return fail(MessageError::kTooLarge);
  return std::size_t{header.size};
}

Result<Connection::Event> in_our_words(Result<Connection::Event> event) {
  if (event) return event;
  if (event.error().is_os(ENODATA)) return fail(MessageError::kPartial);
  if (event.error().is_os(EOVERFLOW)) return fail(MessageError::kStrayFds);
  return event;
}

}  // namespace

Result<Connection> Connection::adopt(UniqueFd socket, const Dialect& dialect) {
  VMM_TRY(auto adopted,
          MessageSocket::adopt(std::move(socket),
                               {.header_bytes = sizeof(Header),
                                .max_fds = kMaxFds,
                                .payload_bytes = [dialect](std::span<const std::byte> header) {
                                  return payload_bytes(dialect, header);
                                }}));
  return Connection(std::move(adopted));
}

Result<Connection::Event> Connection::receive() { return in_our_words(socket_.receive()); }

Result<Connection::Event> Connection::wait(Milliseconds patience) {
  return in_our_words(socket_.wait(patience));
}

Message Connection::message() {
  return {.header = *exactly_as<Header>(socket_.header()),
          .payload = socket_.payload(),
          .fds = socket_.fds()};
}

Result<void> Connection::send(const Header& header, std::span<const std::byte> payload,
                              std::span<const int> fds) {
  return socket_.send(bytes_of(header), payload, fds, kSendPatience);
}

}  // namespace vmm::vhost_user
