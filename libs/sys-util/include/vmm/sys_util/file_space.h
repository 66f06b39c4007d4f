// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.h"

// Holes in files. Offsets and lengths are bytes; none of these moves the file position, and
// offsets that reach above 2^63 - 1 are refused with EINVAL.

namespace vmm::sys_util {

/// A part of a file.
struct FileRange {
  std::uint64_t offset;  ///< of the first byte
  std::uint64_t length;  ///< bytes
};

/// Gives the space back to the file system: the range reads as zeros, the file keeps its size.
/// Errors: EINVAL for a length of 0; EOPNOTSUPP; the others of fallocate(2).
Result<void> punch_hole(int fd, FileRange range);
/// Makes the range read as zeros, and the file longer if it ends before. Uses the file system's
/// own way where it has one, writes zeros where not. A length of 0 does nothing.
Result<void> write_zeroes(int fd, FileRange range);
/// Reserves space for the range, and makes the file longer if it ends before.
/// Errors: EINVAL for a length of 0; ENOSPC; the others of fallocate(2).
Result<void> reserve_space(int fd, FileRange range);

/// The first offset at or after `offset` with data; nullopt when only a hole follows, and past
/// the end. Not for files whose position other threads use at the same time.
Result<std::optional<std::uint64_t>> seek_data(int fd, std::uint64_t offset);
/// The first offset at or after `offset` in a hole; the end of the file counts as one. nullopt
/// past the end. Not for files whose position other threads use at the same time.
Result<std::optional<std::uint64_t>> seek_hole(int fd, std::uint64_t offset);

}  // namespace vmm::sys_util
