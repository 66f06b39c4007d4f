// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/unique_fd.h"

namespace vmm::virtio_vsock {

/// A Unix socket of a program on the host.
class HostProgram {
 public:
  HostProgram() = default;
  explicit HostProgram(UniqueFd fd) : fd_(std::move(fd)) {}

  static HostProgram listen(const std::string& path, int type = SOCK_STREAM, int backlog = 1024) {
    HostProgram program(UniqueFd(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
    const sockaddr_un address = address_of(path);
    REQUIRE(::bind(program.fd(), generic(address), sizeof(address)) == 0);
    REQUIRE(::listen(program.fd(), backlog) == 0);
    return program;
  }
  static HostProgram connect(const std::string& path, int type = SOCK_STREAM) {
    HostProgram program(UniqueFd(::socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)));
    const sockaddr_un address = address_of(path);
    if (::connect(program.fd(), generic(address), sizeof(address)) != 0) return {};
    return program;
  }

  [[nodiscard]] int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }
  void close() { fd_.reset(); }

  /// The next that connected; empty when nobody has.
  [[nodiscard]] HostProgram accept() const {
    return HostProgram(UniqueFd(::accept4(fd(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)));
  }
  /// How many bytes went out; -1 when it failed, with errno.
  ssize_t send(std::string_view bytes, int flags = 0) const {
    return ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | flags);
  }
  /// What is there, up to `limit` bytes or one message.
  [[nodiscard]] std::string read(std::size_t limit = 1 << 20) const {
    std::string bytes(limit, '\0');
    const ssize_t got = ::recv(fd(), bytes.data(), bytes.size(), 0);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  /// Whether the other side has ended, and all it sent was read.
  [[nodiscard]] bool at_end() const {
    char byte = 0;
    const ssize_t got = ::recv(fd(), &byte, 1, MSG_PEEK);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }
  void shutdown(int how) const { REQUIRE(::shutdown(fd(), how) == 0); }

 private:
  static sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.data(), path.size());
    return address;
  }
  static const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
  }

  UniqueFd fd_;
};

}  // namespace vmm::virtio_vsock
