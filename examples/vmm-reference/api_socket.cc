// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_socket.h"

#include <fcntl.h>

#include <cerrno>

#include "vmm/sys_util/file_lock.h"

namespace vmm::reference {
namespace {

// Of the open file, not of the process: it ends with the descriptor, whatever else is closed.
Outcome<UniqueFd> lock(const std::string& path) {
  const std::string context = "--api-socket: " + path;
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600));
  if (!fd) return fail(runtime(context, Error::from_errno("open")));
  const auto locked = sys_util::lock_file(fd.get(), sys_util::FileLock::kExclusive);
  if (locked) return fd;
  if (locked.error().is_os(EAGAIN)) return fail(runtime(context + ": another VMM has it"));
  return fail(runtime(context, locked.error()));
}

}  // namespace

Outcome<ApiSocket> ApiSocket::open(const PathOrFd& config) {
  if (config.fd >= 0) {
    const std::string context = "--api-socket: fd=" + std::to_string(config.fd);
    UniqueFd fd(config.fd);
    if (::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) {
      (void)fd.release();  // it is not open
      return fail(runtime(context, Error::from_errno("fcntl F_SETFD")));
    }
    VMM_STEP(context, auto listener, sys_util::UnixListener::adopt(std::move(fd)));
    return ApiSocket(UniqueFd(), std::move(listener));
  }
  VMM_TRY(UniqueFd locked, lock(config.path + ".lock"));
  VMM_STEP("--api-socket: " + config.path, auto listener,
           sys_util::UnixListener::create(config.path));
  return ApiSocket(std::move(locked), std::move(listener));
}

}  // namespace vmm::reference
