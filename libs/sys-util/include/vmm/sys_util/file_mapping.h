// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/sys_util/mapping.h"

// Files that another process sent: what it says of them is checked before they are mapped.

namespace vmm::sys_util {

/// Whether it is a regular file, memfds among them, that holds all of a range which is not empty.
/// Returns the size of the file's pages, which is more than the machine's for huge ones.
/// Errors: ERANGE when it is not so; those of fstat(2).
Result<std::uint64_t> check_file_range(int fd, std::uint64_t offset, std::uint64_t bytes);

/// Whether it is a file of huge pages (hugetlbfs), of which the kernel maps and unmaps only whole
/// ones. False also for what is no file.
bool has_huge_pages(int fd);

/// Bytes of a file in our address space.
struct FileMapping {
  Mapping mapping;            ///< whole pages, which may be more
  std::byte* data = nullptr;  ///< the first byte of the range
};

/// Maps a range of a file, shared, at any offset; files of huge pages in whole ones. Who truncates
/// the file later ends this process with SIGBUS.
/// Errors: ERANGE as before; those of mmap(2).
Result<FileMapping> map_file(int fd, std::uint64_t offset, std::uint64_t bytes, int protection);

}  // namespace vmm::sys_util
