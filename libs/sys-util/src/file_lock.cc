// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_lock.h"

#include <fcntl.h>

#include <cerrno>
#include <limits>

namespace vmm::sys_util {
namespace {

constexpr auto kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

/// One of F_OFD_SETLK and F_OFD_GETLK, which writes its answer to `lock`.
Result<void> call(int fd, int command, FileRange range, const char* what, struct flock& lock) {
  if (range.offset > kMaxOffset || range.length > kMaxOffset - range.offset) {
    return fail(Error::os(EINVAL, what));
  }
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(range.offset);
  lock.l_len = static_cast<off_t>(range.length);
  while (::fcntl(fd, command, &lock) != 0) {  // NOLINT: the kernel's interface
    if (errno == EINTR) continue;
    return fail(Error::os(errno == EACCES ? EAGAIN : errno, what));
  }
  return {};
}

}  // namespace

Result<void> lock_file(int fd, FileLock lock, FileRange range, const char* what) {
  struct flock request = {};
  switch (lock) {
    case FileLock::kNone:
      request.l_type = F_UNLCK;
      break;
    case FileLock::kShared:
      request.l_type = F_RDLCK;
      break;
    case FileLock::kExclusive:
      request.l_type = F_WRLCK;
      break;
  }
  return call(fd, F_OFD_SETLK, range, what, request);
}

Result<FileLock> foreign_lock(int fd, FileRange range) {
  struct flock answer = {};
  answer.l_type = F_WRLCK;
  VMM_TRY_DO(call(fd, F_OFD_GETLK, range, "ask for the lock of a file", answer));
  if (answer.l_type == F_UNLCK) return FileLock::kNone;
  return answer.l_type == F_RDLCK ? FileLock::kShared : FileLock::kExclusive;
}

}  // namespace vmm::sys_util
