// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>

namespace vmm {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST_CASE("a descriptor is closed once, by its last owner", "[unique_fd]") {
  const int raw = ::dup(0);
  REQUIRE(raw >= 0);
  {
    UniqueFd first(raw);
    UniqueFd second(std::move(first));
    CHECK_FALSE(first);  // NOLINT(bugprone-use-after-move)
    CHECK(second.get() == raw);
    UniqueFd& alias = second;
    second = std::move(alias);
    CHECK(is_open(raw));
  }
  CHECK_FALSE(is_open(raw));
}

TEST_CASE("closing keeps errno, so that an error survives the clean-up", "[unique_fd]") {
  errno = ENOSPC;
  {
    const UniqueFd bad(::dup(0));
    errno = ENOSPC;
  }
  CHECK(errno == ENOSPC);
}

TEST_CASE("release and reset hand ownership over", "[unique_fd]") {
  UniqueFd fd(::dup(0));
  const int raw = fd.release();
  CHECK(is_open(raw));
  fd.reset(raw);
  fd.reset();
  CHECK_FALSE(is_open(raw));
}

}  // namespace
}  // namespace vmm
