// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/unique_fd.h"

namespace vmm {

/// Both ends of a pipe.
struct Pipe {
  explicit Pipe(int flags = O_CLOEXEC) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), flags) == 0);
    read.reset(ends[0]);
    write.reset(ends[1]);
  }
  void put(std::string_view text) const {
    REQUIRE(::write(write.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  /// What is in it, up to the end or to where a read would wait.
  [[nodiscard]] std::string drain() const {
    std::string all;
    std::array<char, 4096> part{};
    for (ssize_t n = 0; (n = ::read(read.get(), part.data(), part.size())) > 0;) {
      all.append(part.data(), static_cast<std::size_t>(n));
    }
    return all;
  }

  UniqueFd read, write;
};

/// Two sockets that are connected.
inline std::pair<UniqueFd, UniqueFd> socket_pair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

}  // namespace vmm
