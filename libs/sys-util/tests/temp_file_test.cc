// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/temp_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

using namespace vmm;
using sys_util::TempFile;

namespace {
bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }
}  // namespace

TEST_CASE("a temporary file is its prefix and six characters, and goes with its owner") {
  const std::string prefix = sys_util::temp_directory() + "/vmm-test-";
  std::string path;
  {
    const TempFile file = *TempFile::create(prefix);
    path = file.path();
    REQUIRE(path.size() == prefix.size() + 6);
    REQUIRE(path.starts_with(prefix));
    REQUIRE(exists(path));
    REQUIRE((::fcntl(file.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  REQUIRE_FALSE(exists(path));
}

TEST_CASE("a temporary file is removed once") {
  TempFile file = *TempFile::create();
  REQUIRE(file.remove().has_value());
  REQUIRE(file.remove().error().is_os(ENOENT));
}

TEST_CASE("a released temporary file has no name but keeps its data") {
  TempFile file = *TempFile::create();
  const std::string path = file.path();
  REQUIRE(::write(file.fd(), "data", 4) == 4);
  const UniqueFd fd = std::move(file).release();
  REQUIRE_FALSE(exists(path));
  char bytes[4] = {};
  REQUIRE(::pread(fd.get(), bytes, 4, 0) == 4);
  REQUIRE(std::memcmp(bytes, "data", 4) == 0);
}

TEST_CASE("a temporary file moves: it is deleted by its last owner") {
  TempFile first = *TempFile::create();
  const std::string path = first.path();
  {
    TempFile second = std::move(first);
    REQUIRE(second.path() == path);
    first = *TempFile::create();
    REQUIRE(exists(path));
    second = std::move(first);
  }
  REQUIRE_FALSE(exists(path));
}

TEST_CASE("a temporary file in a directory that is not there is an error", "[hostile]") {
  REQUIRE(TempFile::create("/nonexistent/x").error().is_os(ENOENT));
}
