// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/pseudo_terminal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>

using namespace vmm;
using sys_util::PseudoTerminal;

TEST_CASE("bytes pass both ways through a pseudo-terminal unchanged") {
  const PseudoTerminal pty = *PseudoTerminal::open();
  REQUIRE(::isatty(pty.terminal.get()) == 1);
  REQUIRE((::fcntl(pty.controller.get(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE((::fcntl(pty.terminal.get(), F_GETFD) & FD_CLOEXEC) != 0);
  const char sent[] = "a\r\n\x03\x04\x1a";  // what line-wise mode would change or act on
  const int ends[] = {pty.controller.get(), pty.terminal.get()};
  for (int i = 0; i < 2; ++i) {
    REQUIRE(::write(ends[i], sent, sizeof(sent)) == sizeof(sent));
    char got[sizeof(sent)] = {};
    std::size_t done = 0;
    while (done < sizeof(got)) {
      const ssize_t n = ::read(ends[1 - i], got + done, sizeof(got) - done);
      REQUIRE(n > 0);
      done += static_cast<std::size_t>(n);
    }
    REQUIRE(std::memcmp(got, sent, sizeof(sent)) == 0);
  }
}

TEST_CASE("the path of a pseudo-terminal leads to its other end") {
  const PseudoTerminal pty = *PseudoTerminal::open();
  REQUIRE(pty.path.starts_with("/dev/pts/"));
  struct stat by_fd = {};
  struct stat by_path = {};
  REQUIRE(::fstat(pty.terminal.get(), &by_fd) == 0);
  if (::stat(pty.path.c_str(), &by_path) == 0) REQUIRE(by_fd.st_rdev == by_path.st_rdev);
}

TEST_CASE("a pseudo-terminal is of the devpts that is mounted, where that may be used") {
  if (::access("/dev/pts/ptmx", R_OK | W_OK) != 0) return;
  const PseudoTerminal pty = *PseudoTerminal::open();
  char target[64] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(pty.controller.get());
  REQUIRE(::readlink(link.c_str(), target, sizeof(target) - 1) > 0);
  REQUIRE(std::string(target) == "/dev/pts/ptmx");
}
