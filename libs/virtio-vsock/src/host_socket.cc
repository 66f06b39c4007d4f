// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_vsock/host_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace vmm::virtio_vsock {
namespace {

constexpr int kBacklog = 1024;
// So that messages fit that are as large as a connection's buffer.
constexpr int kSendBuffer = 512 << 10;

Result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty()) return fail(Error::os(EINVAL, "Unix socket without a path"));
  if (path.size() >= sizeof(address.sun_path)) {
    return fail(Error::os(ENAMETOOLONG, "path of a Unix socket"));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

Result<UniqueFd> make_socket(int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::from_errno("socket"));
  return fd;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Whether it is a socket that nobody listens on.
bool is_dead(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const auto probe = make_socket(SOCK_STREAM);
  return probe && ::connect(probe->get(), generic(address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

HostSocket::Identity HostSocket::identify(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return {};
  return {.device = status.st_dev, .inode = status.st_ino};
}

Result<HostSocket> HostSocket::listen(const std::string& path) {
  VMM_TRY(const sockaddr_un address, address_of(path));
  VMM_TRY(UniqueFd fd, make_socket(SOCK_STREAM));
  int bound = ::bind(fd.get(), generic(address), sizeof(address));
  if (bound != 0 && errno == EADDRINUSE) {
    if (!is_dead(path, address)) return fail(Error::os(EADDRINUSE, "bind"));
    if (::unlink(path.c_str()) != 0) return fail(Error::from_errno("unlink a dead socket"));
    bound = ::bind(fd.get(), generic(address), sizeof(address));
  }
  if (bound != 0) return fail(Error::from_errno("bind"));
  HostSocket socket(path, std::move(fd));
  if (::listen(socket.fd(), kBacklog) != 0) return fail(Error::from_errno("listen"));
  return socket;
}

HostSocket::~HostSocket() {
  if (!path_.empty() && identify(path_) == identity_) ::unlink(path_.c_str());
}

Result<UniqueFd> HostSocket::connect(std::uint32_t port, SocketType type) const {
  VMM_TRY(const sockaddr_un address, address_of(path_ + "_" + std::to_string(port)));
  const bool messages = type == SocketType::kSeqpacket;
  VMM_TRY(UniqueFd fd, make_socket(messages ? SOCK_SEQPACKET : SOCK_STREAM));
  if (messages) {
    (void)::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &kSendBuffer, sizeof(kSendBuffer));
  }
  if (::connect(fd.get(), generic(address), sizeof(address)) != 0) {
    return fail(Error::from_errno("connect"));
  }
  return fd;
}

}  // namespace vmm::virtio_vsock
