// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/fd_flags.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "fd_pairs.h"

namespace vmm::sys_util {
namespace {

bool blocks(int fd) { return (::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0; }

TEST_CASE("a descriptor that no longer blocks keeps its other flags") {
  const Pipe pipe;
  REQUIRE(::fcntl(pipe.write.get(), F_SETFL, O_APPEND) == 0);
  REQUIRE(set_nonblocking(pipe.write.get()));
  CHECK_FALSE(blocks(pipe.write.get()));
  CHECK((::fcntl(pipe.write.get(), F_GETFL) & O_APPEND) != 0);
  CHECK(set_nonblocking(pipe.write.get()));
  CHECK(blocks(pipe.read.get()));
  char byte = 0;
  REQUIRE(set_nonblocking(pipe.read.get()));
  CHECK(::read(pipe.read.get(), &byte, 1) < 0);
  CHECK(errno == EAGAIN);
}

TEST_CASE("a duplicate is the same file, and closed by execve") {
  const Pipe pipe;
  const auto copy = duplicate(pipe.write.get());
  REQUIRE(copy);
  CHECK(copy->get() != pipe.write.get());
  CHECK((::fcntl(copy->get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(::write(copy->get(), "x", 1) == 1);
  char byte = 0;
  CHECK(::read(pipe.read.get(), &byte, 1) == 1);
  CHECK(byte == 'x');
}

TEST_CASE("what is no descriptor is an error that says what for") {
  for (const auto& error :
       {set_nonblocking(-1, "the one").error(), duplicate(-1, "the one").error(),
        NonBlocking::create(-1, "the one").error()}) {
    CHECK(error.is_os(EBADF));
    CHECK(to_string(error).find("the one") != std::string::npos);
  }
}

TEST_CASE("a borrowed descriptor blocks again in the end, if it did before") {
  const Pipe pipe;
  const int fd = pipe.read.get();
  {
    auto outer = NonBlocking::create(fd);
    REQUIRE(outer);
    CHECK_FALSE(blocks(fd));
    {
      const auto inner = NonBlocking::create(fd);
    }  // not its doing
    CHECK_FALSE(blocks(fd));
    NonBlocking moved(std::move(*outer));
    outer = NonBlocking();
    CHECK_FALSE(blocks(fd));
    REQUIRE(::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_APPEND) == 0);
  }
  CHECK(blocks(fd));
  CHECK((::fcntl(fd, F_GETFL) & O_APPEND) != 0);
  REQUIRE(set_nonblocking(fd));
  {
    const auto none = NonBlocking::create(fd);
  }
  CHECK_FALSE(blocks(fd));
}

}  // namespace
}  // namespace vmm::sys_util
