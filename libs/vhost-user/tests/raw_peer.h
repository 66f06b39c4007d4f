// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The other end of a conversation, which says what the test wants, and how.

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "errors.h"
#include "fd_pairs.h"
#include "open_fds.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/fd_passing.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user {

using Bytes = std::vector<std::byte>;

template <Payload T>
Bytes to_bytes(const T& value) {
  const auto bytes = bytes_of(value);
  return {bytes.begin(), bytes.end()};
}

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class RawPeer {
 public:
  explicit RawPeer(UniqueFd socket) : socket_(std::move(socket)) {}

  /// Sends `fds` duplicates of some file with it.
  void send(Header header, const Bytes& payload = {}, std::size_t fds = 0) {
    send_bytes(to_bytes(header) + payload, fds);
  }
  void send(FrontendCode code, const Bytes& payload = {}, std::size_t fds = 0,
            std::uint32_t flags = 0) {
    send({.request = static_cast<std::uint32_t>(code),
          .flags = kVersion | flags,
          .size = static_cast<std::uint32_t>(payload.size())},
         payload, fds);
  }
  void send_bytes(const Bytes& bytes, std::size_t fds = 0) {
    send_bytes(bytes, std::vector<int>(fds, file_.fd()));
  }
  void send_bytes(const Bytes& bytes, const std::vector<int>& fds) {
    const auto sent = sys_util::send_with_fds(socket_.get(), bytes, fds);
    REQUIRE(sent);
    REQUIRE(*sent == bytes.size());
  }
  /// An answer that must be there already.
  struct Answer {
    Header header;
    Bytes payload;
    std::vector<UniqueFd> fds;

    [[nodiscard]] std::uint64_t number() const {
      const auto value = exactly_as<std::uint64_t>(payload);
      REQUIRE(value);
      return *value;
    }
  };
  std::optional<Answer> receive() {
    std::array<UniqueFd, 8> fds;
    Answer answer;
    std::array<std::byte, kMaxPayload + sizeof(Header)> bytes;
    ssize_t waiting = ::recv(socket_.get(), bytes.data(), sizeof(Header), MSG_PEEK | MSG_DONTWAIT);
    if (waiting != sizeof(Header)) return std::nullopt;
    const auto got = sys_util::receive_with_fds(
        socket_.get(), std::span(bytes).first(sizeof(Header)), std::span<UniqueFd>(fds));
    REQUIRE(got);
    std::memcpy(&answer.header, bytes.data(), sizeof(Header));
    for (std::size_t i = 0; i < got->fds; ++i) answer.fds.push_back(std::move(fds[i]));
    answer.payload.resize(answer.header.size);
    waiting = ::recv(socket_.get(), answer.payload.data(), answer.payload.size(), MSG_DONTWAIT);
    REQUIRE((answer.payload.empty() || waiting == static_cast<ssize_t>(answer.payload.size())));
    return answer;
  }
  void close() { socket_.reset(); }
  [[nodiscard]] int fd() const { return socket_.get(); }
  [[nodiscard]] int file() const { return file_.fd(); }

 private:
  UniqueFd socket_;
  sys_util::MemFd file_ = *sys_util::MemFd::create(1 << 20);
};

}  // namespace vmm::vhost_user
