// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_mapping.h"

#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <cerrno>

#include "vmm/base/checked.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::sys_util {

Result<std::uint64_t> check_file_range(int fd, std::uint64_t offset, std::uint64_t bytes) {
  struct stat status{};
  if (::fstat(fd, &status) != 0) return fail(Error::from_errno("fstat a peer's file"));
  if (!S_ISREG(status.st_mode) || bytes == 0 ||
      !fits(offset, bytes, static_cast<std::uint64_t>(status.st_size))) {
    return fail(Error::os(ERANGE, "look for a range in a peer's file"));
  }
  const auto block = static_cast<std::uint64_t>(status.st_blksize);
  return is_power_of_two(block) ? std::max<std::uint64_t>(block, page_size()) : page_size();
}

bool has_huge_pages(int fd) {
  struct statfs system{};
  return ::fstatfs(fd, &system) == 0 &&
         static_cast<std::uint64_t>(system.f_type) == HUGETLBFS_MAGIC;
}

Result<FileMapping> map_file(int fd, std::uint64_t offset, std::uint64_t bytes, int protection) {
  VMM_TRY(const std::uint64_t page, check_file_range(fd, offset, bytes));
  const std::uint64_t from = align_down(offset, page);
  const auto to = align_up(offset + bytes, page);
  const auto length = to ? checked_cast<std::size_t>(*to - from) : std::nullopt;
  if (!length) return fail(Error::os(ERANGE, "map a peer's file"));
  VMM_TRY(Mapping mapping, Mapping::create(*length, {.protection = protection,
                                                     .flags = MAP_SHARED | MAP_NORESERVE,
                                                     .fd = fd,
                                                     .offset = from}));
  std::byte* const data = mapping.data() + (offset - from);
  return FileMapping{.mapping = std::move(mapping), .data = data};
}

}  // namespace vmm::sys_util
