// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"

namespace vmm::block {

/// Fills `to` from `offset` on, as far as the file goes; returns how many bytes were read.
/// Errors: EIO for offsets above 2^63 - 1; those of pread(2).
Result<std::size_t> read_some(int fd, std::span<std::byte> to, std::uint64_t offset);
/// The same, with zeros beyond the end of the file.
Result<void> read_or_zeros(int fd, std::span<std::byte> to, std::uint64_t offset);
/// Errors: EIO when the file ends before; those of pread(2).
Result<void> read_all(int fd, std::span<std::byte> to, std::uint64_t offset);

}  // namespace vmm::block
