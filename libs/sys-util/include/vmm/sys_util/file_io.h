// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/result.h"

// Transfers that are complete or an error: interrupted and short ones are continued.

namespace vmm::sys_util {

/// Reads until `bytes` is full or the file ends; returns how many bytes were read.
/// Errors: those of read(2) but EINTR.
Result<std::size_t> read_full(int fd, std::span<std::byte> bytes);
/// The same from `offset` on; the file position stays. `what` is for the error.
/// Errors: EINVAL for offsets above 2^63 - 1; those of pread(2) but EINTR.
Result<std::size_t> pread_full(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                               const char* what = "pread");
/// Fills all of `bytes`. Errors: those of pread_full(); ENODATA when the file ends before.
Result<void> pread_exact(int fd, std::span<std::byte> bytes, std::uint64_t offset,
                         const char* what = "pread");
/// Errors: those of write(2) but EINTR.
Result<void> write_all(int fd, std::span<const std::byte> bytes);
/// Writes at `offset`; the file position stays. Errors: EINVAL for offsets above 2^63 - 1; those
/// of pwrite(2) but EINTR.
Result<void> pwrite_all(int fd, std::span<const std::byte> bytes, std::uint64_t offset);

/// Reads from the file position to the end. Errors: EFBIG when more than `limit` bytes come;
/// those of read(2) but EINTR.
Result<std::vector<std::byte>> read_to_end(int fd, std::size_t limit);

}  // namespace vmm::sys_util
