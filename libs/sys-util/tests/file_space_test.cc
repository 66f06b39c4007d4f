// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_space.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/temp_file.h"

using namespace vmm;
using namespace vmm::sys_util;

namespace {

constexpr std::uint64_t k64 = 64 * 1024;

std::uint64_t size_of(int fd) {
  struct stat status = {};
  REQUIRE(::fstat(fd, &status) == 0);
  return static_cast<std::uint64_t>(status.st_size);
}

/// A file with a hole in [0, 64K), data in [64K, 128K) and a hole in [128K, 192K).
TempFile holey_file() {
  TempFile file = *TempFile::create();
  REQUIRE(pwrite_all(file.fd(), std::vector<std::byte>(k64, std::byte{0x55}), k64).has_value());
  REQUIRE(::ftruncate(file.fd(), 3 * k64) == 0);
  return file;
}

std::vector<std::byte> content(int fd) {
  std::vector<std::byte> bytes(size_of(fd));
  REQUIRE(pread_exact(fd, bytes, 0).has_value());
  return bytes;
}

}  // namespace

TEST_CASE("data and holes are found, and the position stays") {
  const TempFile file = holey_file();
  REQUIRE(::lseek(file.fd(), 77, SEEK_SET) == 77);
  struct Row {
    std::uint64_t from;
    std::optional<std::uint64_t> data;
    std::optional<std::uint64_t> hole;
  };
  const std::vector<Row> rows = {{0, k64, 0},
                                 {1, k64, 1},
                                 {k64, k64, 2 * k64},
                                 {k64 + 1, k64 + 1, 2 * k64},
                                 {2 * k64, std::nullopt, 2 * k64},
                                 {3 * k64 - 1, std::nullopt, 3 * k64 - 1},
                                 {3 * k64, std::nullopt, std::nullopt},
                                 {4 * k64, std::nullopt, std::nullopt}};
  for (const Row& row : rows) {
    INFO(row.from);
    REQUIRE(*seek_data(file.fd(), row.from) == row.data);
    REQUIRE(*seek_hole(file.fd(), row.from) == row.hole);
    REQUIRE(::lseek(file.fd(), 0, SEEK_CUR) == 77);
  }
}

TEST_CASE("a punched hole reads as zeros and keeps the file's size") {
  const TempFile file = holey_file();
  REQUIRE(punch_hole(file.fd(), {k64, k64 / 2}).has_value());
  REQUIRE(*seek_data(file.fd(), 0) == k64 + k64 / 2);
  REQUIRE(punch_hole(file.fd(), {2 * k64, 10 * k64}).has_value());
  REQUIRE(size_of(file.fd()) == 3 * k64);
  REQUIRE(content(file.fd())[k64] == std::byte{0});
}

TEST_CASE("zeros can be written anywhere, also beyond the end") {
  const TempFile file = holey_file();
  REQUIRE(write_zeroes(file.fd(), {k64 + 1, 2}).has_value());
  const auto bytes = content(file.fd());
  REQUIRE(bytes[k64] == std::byte{0x55});
  REQUIRE(bytes[k64 + 1] == std::byte{0});
  REQUIRE(bytes[k64 + 2] == std::byte{0});
  REQUIRE(bytes[k64 + 3] == std::byte{0x55});
  REQUIRE(write_zeroes(file.fd(), {3 * k64, k64}).has_value());
  REQUIRE(size_of(file.fd()) == 4 * k64);
  REQUIRE(::lseek(file.fd(), 0, SEEK_CUR) == 0);
}

TEST_CASE("zeros are written by hand where the file system has no way of its own") {
  const MemFd file = *MemFd::create(3 * k64);  // tmpfs knows no FALLOC_FL_ZERO_RANGE
  const std::vector<std::byte> ones(3 * k64, std::byte{1});
  REQUIRE(pwrite_all(file.fd(), ones, 0).has_value());
  REQUIRE(write_zeroes(file.fd(), {1, 2 * k64 + 5}).has_value());
  const auto bytes = content(file.fd());
  REQUIRE(bytes[0] == std::byte{1});
  REQUIRE(std::count(bytes.begin(), bytes.end(), std::byte{0}) == 2 * k64 + 5);
  REQUIRE(bytes[2 * k64 + 6] == std::byte{1});
}

TEST_CASE("space can be reserved ahead") {
  const TempFile file = *TempFile::create();
  REQUIRE(reserve_space(file.fd(), {0, k64}).has_value());
  REQUIRE(size_of(file.fd()) == k64);
}

TEST_CASE("an empty range is nothing to zero and an error to punch", "[hostile]") {
  const TempFile file = holey_file();
  REQUIRE(write_zeroes(file.fd(), {0, 0}).has_value());
  REQUIRE(punch_hole(file.fd(), {0, 0}).error().is_os(EINVAL));
  REQUIRE(reserve_space(file.fd(), {0, 0}).error().is_os(EINVAL));
}

TEST_CASE("ranges beyond what a file can have are refused", "[hostile]") {
  const TempFile file = holey_file();
  constexpr std::uint64_t kTop = std::uint64_t{1} << 63;
  for (const FileRange range : {FileRange{kTop, 1}, FileRange{1, kTop}, FileRange{~0ull, ~0ull}}) {
    REQUIRE_FALSE(punch_hole(file.fd(), range).has_value());
    REQUIRE_FALSE(write_zeroes(file.fd(), range).has_value());
  }
  REQUIRE(seek_data(file.fd(), kTop).error().is_os(EINVAL));
  REQUIRE(seek_hole(file.fd(), ~0ull).error().is_os(EINVAL));
  REQUIRE(size_of(file.fd()) == 3 * k64);
}
