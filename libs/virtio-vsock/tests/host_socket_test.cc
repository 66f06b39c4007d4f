// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_vsock/host_socket.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_program.h"
#include "vmm/sys_util/temp_directory.h"

namespace vmm::virtio_vsock {
namespace {

struct Place {
  sys_util::TempDirectory directory = *sys_util::TempDirectory::create();
  std::string path = directory.path() + "/vsock";

  [[nodiscard]] bool exists() const { return ::access(path.c_str(), F_OK) == 0; }
};

TEST_CASE("the socket is there as long as its object", "[vsock]") {
  const Place place;
  {
    auto socket = HostSocket::listen(place.path);
    REQUIRE(socket);
    CHECK(place.exists());
    const HostSocket moved = std::move(*socket);
    CHECK(HostProgram::connect(place.path));
  }
  CHECK_FALSE(place.exists());
}

TEST_CASE("the socket has the access rights that umask leaves", "[vsock]") {
  const Place place;
  for (const mode_t mask : {0077u, 0007u}) {
    const mode_t before = ::umask(mask);
    const auto socket = HostSocket::listen(place.path);
    ::umask(before);
    REQUIRE(socket);
    struct stat status{};
    REQUIRE(::stat(place.path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == (0777u & ~mask));
  }
}

TEST_CASE("a dead socket is replaced", "[vsock]") {
  const Place place;
  HostProgram::listen(place.path).close();
  REQUIRE(place.exists());
  const auto socket = HostSocket::listen(place.path);
  REQUIRE(socket);
  CHECK(HostProgram::connect(place.path));
}

TEST_CASE("what is in use, or is no socket, stays as it is", "[vsock][hostile]") {
  const Place place;
  SECTION("another listener") {
    const HostProgram other = HostProgram::listen(place.path);
    const auto socket = HostSocket::listen(place.path);
    REQUIRE_FALSE(socket);
    CHECK(socket.error().is_os(EADDRINUSE));
    CHECK(HostProgram::connect(place.path));
  }
  SECTION("another listener with a full backlog") {
    const HostProgram other = HostProgram::listen(place.path, SOCK_STREAM, 0);
    const HostProgram waits = HostProgram::connect(place.path);
    REQUIRE_FALSE(HostSocket::listen(place.path));
    CHECK(place.exists());
  }
  SECTION("another listener of messages") {
    const HostProgram other = HostProgram::listen(place.path, SOCK_SEQPACKET);
    REQUIRE_FALSE(HostSocket::listen(place.path));
    CHECK(HostProgram::connect(place.path, SOCK_SEQPACKET));
  }
  SECTION("a file") {
    const UniqueFd file(::open(place.path.c_str(), O_CREAT | O_RDWR, 0600));
    const auto socket = HostSocket::listen(place.path);
    REQUIRE_FALSE(socket);
    CHECK(socket.error().is_os(EADDRINUSE));
    CHECK(place.exists());
  }
  SECTION("a symbolic link to a dead socket") {
    const std::string target = place.directory.path() + "/other";
    HostProgram::listen(target).close();
    REQUIRE(::symlink(target.c_str(), place.path.c_str()) == 0);
    CHECK_FALSE(HostSocket::listen(place.path));
    CHECK(::access(target.c_str(), F_OK) == 0);
  }
}

TEST_CASE("a socket that took its place is not removed", "[vsock]") {
  const Place place;
  auto socket = HostSocket::listen(place.path);
  REQUIRE(socket);
  REQUIRE(::unlink(place.path.c_str()) == 0);
  // The first inode is in use by nobody now: a file beside it, so that its number is not taken
  // again.
  const HostProgram beside = HostProgram::listen(place.directory.path() + "/beside");
  const HostProgram other = HostProgram::listen(place.path);
  {
    const HostSocket gone = std::move(*socket);
  }
  CHECK(place.exists());
}

TEST_CASE("paths that are none", "[vsock]") {
  CHECK(HostSocket::listen("").error().is_os(EINVAL));
  CHECK(HostSocket::listen(std::string(108, 'a')).error().is_os(ENAMETOOLONG));
  CHECK(HostSocket::listen("/nowhere/at/all").error().is_os(ENOENT));
}

TEST_CASE("a port that nobody can be reached at", "[vsock]") {
  const Place place;
  const auto socket = HostSocket::listen(place.path);
  REQUIRE(socket);
  CHECK(socket->connect(1, SocketType::kStream).error().is_os(ENOENT));
  HostProgram::listen(place.path + "_2").close();
  CHECK(socket->connect(2, SocketType::kStream).error().is_os(ECONNREFUSED));
  const HostProgram messages = HostProgram::listen(place.path + "_3", SOCK_SEQPACKET);
  CHECK(socket->connect(3, SocketType::kStream).error().is_os(EPROTOTYPE));
  CHECK(socket->connect(3, SocketType::kSeqpacket));
  const HostProgram full = HostProgram::listen(place.path + "_4", SOCK_STREAM, 0);
  CHECK(socket->connect(4, SocketType::kStream));
  CHECK(socket->connect(4, SocketType::kStream).error().is_os(EAGAIN));
}

}  // namespace
}  // namespace vmm::virtio_vsock
