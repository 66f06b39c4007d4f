// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/unix_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <fstream>

#include "vmm/sys_util/temp_directory.h"

namespace vmm::sys_util {
namespace {

struct Place {
  TempDirectory folder = *TempDirectory::create();
  std::string path = folder.path() + "/socket";
};

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

TEST_CASE("a listener takes connections, and is gone with its path", "[unix]") {
  const Place place;
  {
    auto made = UnixListener::create(place.path);
    REQUIRE(made);
    const UnixListener listener = std::move(*made);
    CHECK_FALSE(*listener.accept());
    const auto client = connect_unix(place.path);
    REQUIRE(client);
    const auto server = listener.accept();
    REQUIRE(server);
    REQUIRE(*server);
    CHECK(::write(client->get(), "x", 1) == 1);
    char byte = 0;
    CHECK(::read((*server)->get(), &byte, 1) == 1);
    CHECK(byte == 'x');
  }
  CHECK_FALSE(exists(place.path));
}

TEST_CASE("a socket that listens already is taken over", "[unix]") {
  const Place place;
  const auto first = UnixListener::create(place.path);
  REQUIRE(first);
  {
    const auto second = UnixListener::adopt(UniqueFd(::dup(first->fd())));
    REQUIRE(second);
    const auto client = connect_unix(place.path);
    CHECK(*second->accept());
    CHECK(UnixListener::adopt(UniqueFd(::dup(client->get()))).error().is_os(EINVAL));
  }
  CHECK(exists(place.path));
}

TEST_CASE("a dead socket is replaced, others are not", "[unix]") {
  const Place place;
  const auto first = UnixListener::create(place.path);
  REQUIRE(first);
  CHECK(UnixListener::create(place.path).error().is_os(EADDRINUSE));
  const Place other;
  {
    const auto listener = UnixListener::create(other.path);
    REQUIRE(listener);
    REQUIRE(::link(other.path.c_str(), (other.path + "2").c_str()) == 0);
  }
  CHECK(UnixListener::create(other.path + "2"));
  std::ofstream(other.path) << "a file";
  CHECK(UnixListener::create(other.path).error().is_os(EADDRINUSE));
  CHECK(exists(other.path));
}

TEST_CASE("who listens does not hear of others that would like to", "[unix]") {
  const Place place;
  const auto first = UnixListener::create(place.path);
  REQUIRE(first);
  CHECK(UnixListener::create(place.path).error().is_os(EADDRINUSE));
  CHECK_FALSE(*first->accept());
}

TEST_CASE("a listener leaves alone what has taken its place", "[unix]") {
  const Place place;
  {
    const auto listener = UnixListener::create(place.path);
    REQUIRE(listener);
    REQUIRE(::unlink(place.path.c_str()) == 0);
    std::ofstream(place.path) << "a file";
  }
  CHECK(exists(place.path));
}

TEST_CASE("paths that cannot be are refused", "[unix]") {
  CHECK(UnixListener::create("").error().is_os(EINVAL));
  CHECK(UnixListener::create(std::string(108, 'a')).error().is_os(ENAMETOOLONG));
  CHECK(connect_unix("").error().is_os(EINVAL));
  CHECK(connect_unix("/nowhere/at/all").error().is_os(ENOENT));
  const Place place;
  const auto listener = UnixListener::create(place.path);
  CHECK(connect_unix(place.path, UnixSocketType::kSeqpacket).error().is_os(EPROTOTYPE));
}

}  // namespace
}  // namespace vmm::sys_util
