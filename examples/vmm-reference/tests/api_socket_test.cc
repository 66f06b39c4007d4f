// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "path_or_fd.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::reference {
namespace {

using Catch::Contains;

TEST_CASE("API socket: one VMM a path, stale ones are replaced, ours is removed", "[api]") {
  const auto folder = *sys_util::TempDirectory::create();
  const std::string path = folder.path() + "/s";
  {
    auto first = ApiSocket::open({.path = path});
    REQUIRE(first.has_value());
    const auto second = ApiSocket::open({.path = path});
    REQUIRE_FALSE(second.has_value());
    CHECK_THAT(second.error().message, Contains("another VMM has it"));
    struct stat status{};
    CHECK(::stat(path.c_str(), &status) == 0);
  }
  struct stat status{};
  CHECK(::stat(path.c_str(), &status) != 0);
  {  // a VMM that died leaves socket and lock file
    auto dead = sys_util::UnixListener::create(path);
    REQUIRE(dead.has_value());
    REQUIRE(::rename(path.c_str(), (path + "2").c_str()) == 0);
  }
  REQUIRE(::rename((path + "2").c_str(), path.c_str()) == 0);
  CHECK(ApiSocket::open({.path = path}).has_value());
}

TEST_CASE("API socket: a descriptor has to be a listening socket", "[api][hostile]") {
  CHECK_FALSE(ApiSocket::open({.path = {}, .fd = 1000}).has_value());
  int fds[2] = {-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
  const UniqueFd other(fds[1]);
  CHECK_FALSE(ApiSocket::open({.path = {}, .fd = fds[0]}).has_value());
}

TEST_CASE("--api-socket: path=, fd= or a bare path", "[options]") {
  const auto parse = [](const char* text, bool bare) {
    return parse_path_or_fd("--api-socket", text, {.bare = bare});
  };
  CHECK(parse_path_or_fd("--event-monitor", "fd=1", {.lowest_fd = 1})->fd == 1);
  CHECK_FALSE(parse_path_or_fd("--event-monitor", "fd=0", {.lowest_fd = 1}).has_value());
  CHECK(parse("path=/a", true)->path == "/a");
  CHECK(parse("fd=3", true)->fd == 3);
  CHECK(parse("host.sock", true)->path == "host.sock");
  CHECK(parse("a=b.sock", true)->path == "a=b.sock");
  for (const char* text : {"", "fd=2", "fd=x", "path=", "path=a,fd=3", "fd=3,x=y"}) {
    INFO(text);
    CHECK_FALSE(parse(text, true).has_value());
  }
  CHECK_FALSE(parse("bare", false).has_value());
}

}  // namespace
}  // namespace vmm::reference
