// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/message_socket.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// A message as it came: what its numbers mean was not looked at yet. What is left of `fds` is
/// closed with it.
struct Message {
  Header header;                       ///< checked against the Dialect
  std::span<const std::byte> payload;  ///< borrowed from the connection, until its next receive()
  std::span<UniqueFd> fds;             ///< the same; take what is wanted
};

/// What the headers of a protocol may say.
struct Dialect {
  std::uint32_t version = kVersion;                                ///< the low bits of the flags
  std::uint32_t known_flags = kVersionMask | kReply | kNeedReply;  ///< others end the connection
  std::size_t max_payload = kMaxPayload;                           ///< bytes
};

/// Messages over a connected Unix stream socket, in pieces of any size.
///
/// receive() never waits: what came of a message is kept until the rest does. A message is at most
/// as long as its dialect says, for which room is made as it comes, and kMaxFds descriptors. After
/// an error the connection is of no use any more.
///
/// Threads: one at a time.
class Connection {
 public:
  using Milliseconds = sys_util::MessageSocket::Milliseconds;  ///< of monotonic time
  /// How long send() waits for a peer that does not read.
  static constexpr Milliseconds kSendPatience{10'000};

  /// kNothing, kMessage, or kClosed: the peer has gone, between two messages.
  using Event = sys_util::MessageSocket::Event;

  /// Takes a connected socket; it is made non-blocking. Errors: those of fcntl(2).
  static Result<Connection> adopt(UniqueFd socket, const Dialect& dialect = {});

  /// Takes what has come. With kMessage, message() is whole. Descriptors of the last message that
  /// nobody took are closed.
  /// Errors: kPartial, kBadVersion, kTooLarge, kStrayFds; those of recvmsg(2).
  Result<Event> receive();
  /// The message that receive() told of; until the next receive().
  [[nodiscard]] Message message();
  /// receive() until there is a message, or the peer has gone, or the time is over: ETIMEDOUT.
  Result<Event> wait(Milliseconds patience);

  /// Sends one message, all of it. Waits, for a peer that does not read: ETIMEDOUT after
  /// kSendPatience. Errors: those of sendmsg(2), EPIPE for a peer that has gone.
  Result<void> send(const Header& header, std::span<const std::byte> payload,
                    std::span<const int> fds);

  /// For polling.
  [[nodiscard]] int fd() const { return socket_.fd(); }

 private:
  explicit Connection(sys_util::MessageSocket socket) : socket_(std::move(socket)) {}

  sys_util::MessageSocket socket_;
};

}  // namespace vmm::vhost_user
