// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/ioctl.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string_view>

using namespace vmm;

TEST_CASE("an ioctl writes through its pointer") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  REQUIRE(::write(writer.get(), "abc", 3) == 3);
  int waiting = 0;
  REQUIRE(*sys_util::ioctl(reader.get(), VMM_IOCTL(FIONREAD), &waiting) == 0);
  REQUIRE(waiting == 3);
}

TEST_CASE("an ioctl that fails says which one it was", "[hostile]") {
  const Result<int> refused = sys_util::ioctl(-1, VMM_IOCTL(FIONREAD));
  REQUIRE(refused.error().is_os(EBADF));
  REQUIRE(std::string_view(refused.error().what()) == "FIONREAD");
}

TEST_CASE("an ioctl keeps the errno of an earlier call or sets its own, never another",
          "[hostile]") {
  errno = ENOENT;
  REQUIRE(sys_util::ioctl(-1, VMM_IOCTL(FIONREAD)).error().is_os(EBADF));
  REQUIRE((errno == ENOENT || errno == EBADF));
}

TEST_CASE("the system call and the C library give the same answers", "[hostile]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  const UniqueFd null(::open("/dev/null", O_RDONLY));
  constexpr int kBytes = 7;
  REQUIRE(::write(writer.get(), "pressed", kBytes) == kBytes);
  struct Row {
    const char* what;
    int fd;
    unsigned long request;
    std::uintptr_t argument;
    int answer;
  };
  int waiting = 0;
  const auto pointer = reinterpret_cast<std::uintptr_t>(&waiting);
  const Row rows[] = {
      {"it writes through the pointer", reader.get(), FIONREAD, pointer, 0},
      {"there is no such descriptor", -1, FIONREAD, pointer, -EBADF},
      {"the device knows no such request", null.get(), 0xae00, 0, -ENOTTY},
      {"there is nothing at the address", reader.get(), FIONREAD, 8, -EFAULT},
  };
  for (const Row& row : rows) {
    INFO(row.what);
    for (auto* call : {&sys_util::detail::raw_ioctl, &sys_util::detail::libc_ioctl}) {
      waiting = -1;
      CHECK(call(row.fd, row.request, row.argument) == row.answer);
      CHECK(waiting == (row.answer == 0 ? kBytes : -1));
    }
  }
}
