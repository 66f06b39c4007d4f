// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// Messages over a connected Unix stream socket, which come in pieces of any size: a header that
/// says how many bytes follow, those bytes, and descriptors that come with the first byte. What a
/// header means is the protocol's.
///
/// receive() never waits: what came of a message is kept until the rest does. Room for a message is
/// made as it comes. After an error the socket is of no use any more.
///
/// Threads: one at a time.
class MessageSocket {
 public:
  using Milliseconds = std::chrono::milliseconds;     ///< of monotonic time
  static constexpr std::size_t kMaxHeaderBytes = 64;  ///< that a protocol may have

  /// How messages of a protocol look.
  struct Format {
    std::size_t header_bytes = 0;  ///< at most kMaxHeaderBytes
    std::size_t max_fds = 0;       ///< of one message
    /// Reads a header: how many bytes follow it. An error is receive()'s, and so the end: this is
    /// where lengths are bounded.
    std::function<Result<std::size_t>(std::span<const std::byte> header)> payload_bytes;
  };

  /// What receive() found.
  enum class Event : std::uint8_t {
    kNothing,  ///< no whole message yet: wait until the socket is readable
    kMessage,  ///< a whole one
    kClosed,   ///< the peer has gone, between two messages
  };

  /// Takes a connected socket; it is made non-blocking.
  /// Errors: EINVAL for a header that is too long; those of fcntl(2).
  static Result<MessageSocket> adopt(UniqueFd socket, Format format);

  /// Takes what has come. With kMessage, header(), payload() and fds() are whole, until the next
  /// receive(), which closes descriptors that nobody took.
  /// Errors: ENODATA when the peer went away within a message; EOVERFLOW for descriptors elsewhere
  /// than with a message's first byte, or more than max_fds; those of Format::payload_bytes and
  /// recvmsg(2).
  Result<Event> receive();
  /// receive() until there is a message, or the peer has gone, or the time is over: ETIMEDOUT.
  Result<Event> wait(Milliseconds patience);

  ///@{
  /// Of the message that receive() told of; valid until the next receive().
  [[nodiscard]] std::span<const std::byte> header() const {
    return std::span(header_).first(format_.header_bytes);
  }
  [[nodiscard]] std::span<const std::byte> payload() const {
    return std::span(payload_).first(payload_got_);
  }
  ///@}
  /// Take what is wanted.
  [[nodiscard]] std::span<UniqueFd> fds() { return std::span(fds_).first(fd_count_); }

  /// Sends one message, all of it: a header, then a payload. Waits for a peer that does not read:
  /// ETIMEDOUT after `patience`. A kernel that is short of memory, or of room for descriptors on
  /// their way (ENOMEM, ENOBUFS, ETOOMANYREFS), is asked again until then. Errors: those of
  /// sendmsg(2), EPIPE for a peer that has gone.
  Result<void> send(std::span<const std::byte> header, std::span<const std::byte> payload,
                    std::span<const int> fds, Milliseconds patience) const;

  /// For polling.
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  MessageSocket(UniqueFd socket, Format format)
      : socket_(std::move(socket)), format_(std::move(format)), fds_(format_.max_fds) {}

  Result<Event> receive_header();
  Result<Event> receive_payload();
  void forget();

  UniqueFd socket_;
  Format format_;
  std::array<std::byte, kMaxHeaderBytes> header_{};
  std::size_t header_got_ = 0;   // bytes
  std::size_t payload_got_ = 0;  // bytes
  std::size_t payload_bytes_ = 0;
  std::size_t fd_count_ = 0;
  bool complete_ = false;
  std::vector<UniqueFd> fds_;
  std::vector<std::byte> payload_;
};

}  // namespace vmm::sys_util
