// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "file_parts.h"

#include <sys/types.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "vmm/sys_util/file_io.h"

namespace vmm::block {

Result<std::size_t> read_some(int fd, std::span<std::byte> to, std::uint64_t offset) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<off_t>::max());
  if (offset > kMax || to.size() > kMax - offset) return fail(Error::os(EIO, "read the image"));
  return sys_util::pread_full(fd, to, offset, "read the image");
}

Result<void> read_or_zeros(int fd, std::span<std::byte> to, std::uint64_t offset) {
  VMM_TRY(const std::size_t got, read_some(fd, to, offset));
  std::fill(to.begin() + static_cast<std::ptrdiff_t>(got), to.end(), std::byte{0});
  return {};
}

Result<void> read_all(int fd, std::span<std::byte> to, std::uint64_t offset) {
  VMM_TRY(const std::size_t got, read_some(fd, to, offset));
  if (got != to.size()) return fail(Error::os(EIO, "read beyond the end of the image"));
  return {};
}

}  // namespace vmm::block
