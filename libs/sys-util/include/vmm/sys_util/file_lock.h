// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/sys_util/file_space.h"

// Locks on parts of files, for programs that ask for them: nobody is kept from reading or writing.
// They are the open file's, not the process's: duplicates of a descriptor share them, other opens
// of the same file do not, and they end with the last duplicate.

namespace vmm::sys_util {

/// Who else may have a lock.
enum class FileLock : std::uint8_t {
  kNone,
  kShared,     ///< those that are shared, too
  kExclusive,  ///< nobody
};

/// All of a file, up to wherever its end will be.
inline constexpr FileRange kWholeFile{0, 0};

/// Takes a lock, or with kNone gives it back, without waiting. What this open file has on the range
/// is replaced. A length of 0 is up to wherever the end will be; `what` names the attempt in
/// errors.
///
/// Errors: EAGAIN when somebody else's lock is in the way; EBADF for kShared without read access
/// and kExclusive without write access; EINVAL for a range that reaches above 2^63 - 1.
Result<void> lock_file(int fd, FileLock lock, FileRange range = kWholeFile,
                       const char* what = "lock a file");
/// What somebody else has in the range: the first lock with which an exclusive one would not go.
/// Errors: EINVAL as above; EBADF.
Result<FileLock> foreign_lock(int fd, FileRange range = kWholeFile);

}  // namespace vmm::sys_util
