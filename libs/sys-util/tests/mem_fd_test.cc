// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/mem_fd.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

using namespace vmm;
using sys_util::MemFd;

TEST_CASE("a memfd has its size and cannot get another") {
  const MemFd file = *MemFd::create(0x3000);
  REQUIRE(file.size() == 0x3000);
  struct stat status = {};
  REQUIRE(::fstat(file.fd(), &status) == 0);
  REQUIRE(status.st_size == 0x3000);
  REQUIRE((::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  for (const off_t size : {0, 0x2000, 0x4000}) {
    REQUIRE(::ftruncate(file.fd(), size) != 0);
    REQUIRE(errno == EPERM);
  }
  REQUIRE(::pwrite(file.fd(), "x", 1, 0x3000) < 0);
  REQUIRE(::pwrite(file.fd(), "x", 1, 0x2fff) == 1);
}

TEST_CASE("further seals can be added until they are frozen") {
  const MemFd file = *MemFd::create(0x1000);
  REQUIRE(file.seal_future_writes().has_value());
  REQUIRE(::pwrite(file.fd(), "x", 1, 0) < 0);
  REQUIRE(file.freeze_seals().has_value());
  REQUIRE(file.freeze_seals().error().is_os(EPERM));
}

TEST_CASE("a memfd shows its name") {
  const MemFd file = *MemFd::create(0x1000, {.name = "guest-ram"});
  char target[64] = {};
  const std::string link = "/proc/self/fd/" + std::to_string(file.fd());
  REQUIRE(::readlink(link.c_str(), target, sizeof(target) - 1) > 0);
  REQUIRE(std::string(target).find("memfd:guest-ram") != std::string::npos);
}

TEST_CASE("sizes and page sizes that make no sense are refused", "[hostile]") {
  REQUIRE(MemFd::create(0).error().is_os(EINVAL));
  REQUIRE(MemFd::create(std::uint64_t{1} << 63).error().is_os(EFBIG));
  REQUIRE(MemFd::create(~std::uint64_t{0}).error().is_os(EFBIG));
  for (const std::uint64_t page : {1ul, 3ul, 4096ul, 3ul << 20}) {
    REQUIRE(MemFd::create(0x1000, {.hugepage_size = page}).error().is_os(EINVAL));
  }
  const std::string long_name(300, 'n');
  REQUIRE(MemFd::create(0x1000, {.name = long_name.c_str()}).error().is_os(EINVAL));
}
