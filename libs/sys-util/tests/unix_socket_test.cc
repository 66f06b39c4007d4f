// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/unix_socket.h"

#include <fcntl.h>
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

TEST_CASE("two sockets are connected, block, and are gone after execve", "[unix]") {
  const auto type = GENERATE(UnixSocketType::kStream, UnixSocketType::kSeqpacket);
  const auto made = unix_socket_pair(type);
  REQUIRE(made);
  const auto& [one, other] = *made;
  for (const int fd : {one.get(), other.get()}) {
    CHECK(::fcntl(fd, F_GETFD) == FD_CLOEXEC);
    CHECK((::fcntl(fd, F_GETFL) & O_NONBLOCK) == 0);
  }
  CHECK(::write(one.get(), "ab", 2) == 2);
  CHECK(::write(one.get(), "c", 1) == 1);
  char text[4] = {};
  // Of packets, each comes alone.
  CHECK(::read(other.get(), text, sizeof(text)) == (type == UnixSocketType::kStream ? 3 : 2));
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
