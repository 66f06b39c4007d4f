// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "vmm/sys_util/fd_flags.h"

namespace vmm::sys_util {
namespace {

constexpr int kBacklog = 1024;

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

int closed_on_exec(UnixSocketType type) {
  return (type == UnixSocketType::kSeqpacket ? SOCK_SEQPACKET : SOCK_STREAM) | SOCK_CLOEXEC;
}

Result<UniqueFd> make_socket(UnixSocketType type) {
  UniqueFd fd(::socket(AF_UNIX, closed_on_exec(type) | SOCK_NONBLOCK, 0));
  if (!fd) return fail(Error::from_errno("socket"));
  return fd;
}

const sockaddr* generic(const sockaddr_un& address) {
  return reinterpret_cast<const sockaddr*>(&address);
}

// Whether it is a socket that no process has any more. A datagram socket asks: it cannot connect to
// a listener, who so does not hear of it, and gets another error where there is one.
bool is_dead(const std::string& path, const sockaddr_un& address) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return probe && ::connect(probe.get(), generic(address), sizeof(address)) != 0 &&
         errno == ECONNREFUSED;
}

}  // namespace

UnixListener::Identity UnixListener::identify(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return {};
  return {.device = status.st_dev, .inode = status.st_ino};
}

Result<UnixListener> UnixListener::create(const std::string& path) {
  VMM_TRY(const sockaddr_un address, address_of(path));
  VMM_TRY(UniqueFd fd, make_socket(UnixSocketType::kStream));
  int bound = ::bind(fd.get(), generic(address), sizeof(address));
  if (bound != 0 && errno == EADDRINUSE) {
    if (!is_dead(path, address)) return fail(Error::os(EADDRINUSE, "bind"));
    if (::unlink(path.c_str()) != 0) return fail(Error::from_errno("unlink a dead socket"));
    bound = ::bind(fd.get(), generic(address), sizeof(address));
  }
  if (bound != 0) return fail(Error::from_errno("bind"));
  UnixListener listener(path, std::move(fd));
  if (::listen(listener.fd(), kBacklog) != 0) return fail(Error::from_errno("listen"));
  return listener;
}

Result<UnixListener> UnixListener::adopt(UniqueFd fd) {
  int listens = 0;
  socklen_t size = sizeof(listens);
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0) {
    return fail(Error::from_errno("getsockopt SO_ACCEPTCONN"));
  }
  if (listens == 0) return fail(Error::os(EINVAL, "a socket that does not listen"));
  VMM_TRY_DO(set_nonblocking(fd.get(), "a listening socket"));
  return UnixListener({}, std::move(fd));
}

UnixListener::~UnixListener() {
  if (!path_.empty() && identify(path_) == identity_) ::unlink(path_.c_str());
}

Result<std::optional<UniqueFd>> UnixListener::accept() const {
  UniqueFd fd;
  do {
    fd.reset(::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC));
  } while (!fd && errno == EINTR);
  if (fd) return std::optional(std::move(fd));
  if (errno == EAGAIN || errno == ECONNABORTED) return std::optional<UniqueFd>();
  return fail(Error::from_errno("accept"));
}

Result<UniqueFd> connect_unix(const std::string& path, UnixSocketType type) {
  VMM_TRY(const sockaddr_un address, address_of(path));
  VMM_TRY(UniqueFd fd, make_socket(type));
  if (::connect(fd.get(), generic(address), sizeof(address)) != 0) {
    return fail(Error::from_errno("connect"));
  }
  return fd;
}

Result<std::pair<UniqueFd, UniqueFd>> unix_socket_pair(UnixSocketType type) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, closed_on_exec(type), 0, ends) != 0) {
    return fail(Error::from_errno("socketpair"));
  }
  return std::pair(UniqueFd(ends[0]), UniqueFd(ends[1]));
}

}  // namespace vmm::sys_util
