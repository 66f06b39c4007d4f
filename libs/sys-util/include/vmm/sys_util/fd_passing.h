// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

// Bytes together with file descriptors over a connected Unix socket; see unix(7), SCM_RIGHTS.

namespace vmm::sys_util {

/// The kernel passes at most this many descriptors in one message.
inline constexpr std::size_t kMaxPassedFds = 253;
/// One message is gathered from, or scattered to, at most this many buffers.
inline constexpr std::size_t kMaxMessageParts = 8;

/// Sends one message with duplicates of `fds`, and returns how many bytes were sent, which on a
/// stream may be fewer than there are; the descriptors went with the first of them. On a stream
/// descriptors need at least one byte to travel with. Never raises SIGPIPE.
/// Errors: EINVAL for more than kMaxPassedFds or kMaxMessageParts; EPIPE; EAGAIN; the others of
/// sendmsg(2). EINTR is retried.
Result<std::size_t> send_with_fds(int socket, std::span<const std::span<const std::byte>> parts,
                                  std::span<const int> fds);
/// The same with one buffer.
Result<std::size_t> send_with_fds(int socket, std::span<const std::byte> bytes,
                                  std::span<const int> fds);

/// What one receive_with_fds() brought.
struct ReceivedMessage {
  std::size_t bytes;  ///< 0 at the end of a stream
  std::size_t fds;    ///< how many of the caller's UniqueFds were filled, from the front
};

/// Receives one message. The descriptors that come with it are close-on-exec and fill the front
/// of `fds`, whose elements should be empty.
/// Errors: EOVERFLOW when more descriptors came than fit, EMSGSIZE when a datagram was longer than
/// the buffers; the message is then lost and none of its descriptors stays open. EINVAL for more
/// than kMaxPassedFds or kMaxMessageParts; EAGAIN; the others of recvmsg(2). EINTR is retried.
Result<ReceivedMessage> receive_with_fds(int socket, std::span<const std::span<std::byte>> parts,
                                         std::span<UniqueFd> fds);
/// The same with one buffer.
Result<ReceivedMessage> receive_with_fds(int socket, std::span<std::byte> bytes,
                                         std::span<UniqueFd> fds);

}  // namespace vmm::sys_util
