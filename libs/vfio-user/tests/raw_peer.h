// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The other end of a conversation, which says what the test wants, and how.

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.h"
#include "fd_pairs.h"
#include "open_fds.h"
#include "vmm/base/payload.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio_user/channel.h"
#include "vmm/vfio_user/protocol.h"

namespace vmm::vfio_user {

using Bytes = std::vector<std::byte>;

template <Payload T>
Bytes to_bytes(const T& value) {
  const auto bytes = bytes_of(value);
  return {bytes.begin(), bytes.end()};
}

inline Bytes text(std::string_view words) {
  const auto bytes = std::as_bytes(std::span(words));
  Bytes out(bytes.begin(), bytes.end());
  out.push_back(std::byte{0});
  return out;
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class RawPeer {
 public:
  explicit RawPeer(UniqueFd socket) : socket_(std::move(socket)) {}

  /// Sends `fds` duplicates of some file with it.
  void send(const Header& header, const Bytes& payload = {}, std::size_t fds = 0) {
    send_bytes(to_bytes(header) + payload, std::vector<int>(fds, file_.fd()));
  }
  void send(Command command, const Bytes& payload = {}, std::size_t fds = 0,
            std::uint32_t flags = 0, std::uint16_t id = 7) {
    send({.id = id,
          .command = static_cast<std::uint16_t>(command),
          .bytes = static_cast<std::uint32_t>(sizeof(Header) + payload.size()),
          .flags = flags,
          .error = 0},
         payload, fds);
  }
  void send_bytes(const Bytes& bytes, const std::vector<int>& fds = {}) {
    const auto sent = sys_util::send_with_fds(socket_.get(), bytes, fds);
    REQUIRE(sent);
    REQUIRE(*sent == bytes.size());
  }
  void hello() { send(Command::kVersion, to_bytes(Version{})); }

  struct Message {
    Header header;
    Bytes payload;
    std::vector<UniqueFd> fds;

    [[nodiscard]] bool failed() const { return (header.flags & kError) != 0; }
  };
  /// What is there, waiting a while for it.
  std::optional<Message> receive(int milliseconds = 0) {
    pollfd one{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&one, 1, milliseconds) != 1) return std::nullopt;
    std::array<UniqueFd, kMaxFds> fds;
    Message message;
    Bytes head(sizeof(Header));
    const auto got =
        sys_util::receive_with_fds(socket_.get(), std::span(head), std::span<UniqueFd>(fds));
    if (!got || got->bytes != sizeof(Header)) return std::nullopt;
    message.header = *exactly_as<Header>(head);
    for (std::size_t i = 0; i < got->fds; ++i) message.fds.push_back(std::move(fds[i]));
    message.payload.resize(message.header.bytes - sizeof(Header));
    if (!message.payload.empty()) {
      const ssize_t n =
          ::recv(socket_.get(), message.payload.data(), message.payload.size(), MSG_WAITALL);
      REQUIRE(n == static_cast<ssize_t>(message.payload.size()));
    }
    return message;
  }
  void close() { socket_.reset(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] int file() const { return file_.fd(); }

 private:
  UniqueFd socket_;
  sys_util::MemFd file_ = *sys_util::MemFd::create(1 << 20);
};

}  // namespace vmm::vfio_user
