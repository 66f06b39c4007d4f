// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/temp_directory.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>

using namespace vmm;
using sys_util::TempDirectory;
namespace fs = std::filesystem;

TEST_CASE("a temporary directory goes with its owner and everything in it") {
  const TempDirectory outside = *TempDirectory::create();
  std::ofstream(outside.path() + "/kept") << "x";
  std::string path;
  {
    const TempDirectory directory = *TempDirectory::create();
    path = directory.path();
    fs::create_directories(path + "/a/b");
    std::ofstream(path + "/a/b/file") << "x";
    fs::create_directory_symlink(outside.path(), path + "/link");
  }
  REQUIRE_FALSE(fs::exists(path));
  REQUIRE(fs::exists(outside.path() + "/kept"));  // links are not followed
}

TEST_CASE("a temporary directory is removed once") {
  TempDirectory directory = *TempDirectory::create();
  REQUIRE(directory.remove().has_value());
  REQUIRE(directory.remove().error().is_os(ENOENT));
}

TEST_CASE("a temporary directory moves") {
  TempDirectory first = *TempDirectory::create();
  const std::string path = first.path();
  const TempDirectory second = std::move(first);
  REQUIRE(fs::exists(path));
  REQUIRE(second.path() == path);
  REQUIRE(first.remove().error().is_os(ENOENT));
}

TEST_CASE("a temporary directory below one that is not there is an error", "[hostile]") {
  REQUIRE(TempDirectory::create("/nonexistent/x").error().is_os(ENOENT));
}
