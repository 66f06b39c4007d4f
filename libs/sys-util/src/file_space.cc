// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/file_space.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <limits>
#include <span>

#include "vmm/sys_util/file_io.h"

namespace vmm::sys_util {
namespace {

constexpr auto kMaxOffset = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());

bool addressable(const FileRange& range) {
  return range.offset <= kMaxOffset && range.length <= kMaxOffset - range.offset;
}

Result<void> allocate(int fd, int mode, const FileRange& range, const char* what) {
  if (!addressable(range)) return fail(Error::os(EINVAL, what));
  while (::fallocate(fd, mode, static_cast<off_t>(range.offset),
                     static_cast<off_t>(range.length)) != 0) {
    if (errno != EINTR) return fail(Error::from_errno(what));
  }
  return {};
}

Result<void> write_real_zeroes(int fd, FileRange range) {
  constexpr std::size_t kStep = 64 * 1024;
  static constexpr std::array<std::byte, kStep> kZeroes{};
  while (range.length != 0) {
    const std::uint64_t step = std::min<std::uint64_t>(range.length, kStep);
    VMM_TRY_DO(pwrite_all(fd, std::span(kZeroes).first(step), range.offset));
    range = {range.offset + step, range.length - step};
  }
  return {};
}

/// lseek() to data or a hole, and back.
Result<std::optional<std::uint64_t>> seek(int fd, std::uint64_t offset, int whence,
                                          const char* what) {
  if (offset > kMaxOffset) return fail(Error::os(EINVAL, what));
  const off_t before = ::lseek(fd, 0, SEEK_CUR);
  if (before < 0) return fail(Error::from_errno(what));
  const off_t found = ::lseek(fd, static_cast<off_t>(offset), whence);
  const int error = errno;
  if (::lseek(fd, before, SEEK_SET) < 0) return fail(Error::from_errno(what));
  if (found >= 0) return std::optional(static_cast<std::uint64_t>(found));
  if (error == ENXIO) return std::optional<std::uint64_t>();
  return fail(Error::os(error, what));
}

}  // namespace

Result<void> punch_hole(int fd, FileRange range) {
  return allocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, range, "punch hole");
}

Result<void> write_zeroes(int fd, FileRange range) {
  if (range.length == 0) return {};
  const Result<void> done = allocate(fd, FALLOC_FL_ZERO_RANGE, range, "write zeroes");
  if (done || !done.error().is_os(EOPNOTSUPP)) return done;
  return write_real_zeroes(fd, range);
}

Result<void> reserve_space(int fd, FileRange range) {
  return allocate(fd, 0, range, "reserve space");
}

Result<std::optional<std::uint64_t>> seek_data(int fd, std::uint64_t offset) {
  return seek(fd, offset, SEEK_DATA, "seek data");
}

Result<std::optional<std::uint64_t>> seek_hole(int fd, std::uint64_t offset) {
  return seek(fd, offset, SEEK_HOLE, "seek hole");
}

}  // namespace vmm::sys_util
