// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/ioctl.h"

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
