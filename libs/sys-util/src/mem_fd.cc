// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/mem_fd.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <limits>

#include "vmm/base/checked.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

namespace vmm::sys_util {
namespace {

Result<void> add_seals(int fd, int seals) {
  if (::fcntl(fd, F_ADD_SEALS, seals) != 0) return fail(Error::from_errno("fcntl F_ADD_SEALS"));
  return {};
}

}  // namespace

Result<MemFd> MemFd::create(std::uint64_t bytes, const Options& options) {
  if (bytes == 0) return fail(Error::os(EINVAL, "memfd_create"));
  if (bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return fail(Error::os(EFBIG, "memfd_create"));
  }
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (options.hugepage_size != 0) {
    constexpr std::uint64_t kSmallest = 64 * 1024;  // of any architecture
    if (!is_power_of_two(options.hugepage_size) || options.hugepage_size < kSmallest) {
      return fail(Error::os(EINVAL, "memfd_create"));
    }
    const auto shift = static_cast<unsigned>(std::countr_zero(options.hugepage_size));
    flags |= MFD_HUGETLB | (shift << MFD_HUGE_SHIFT);
  }
  UniqueFd fd(::memfd_create(options.name, flags));
  if (!fd) return fail(Error::from_errno("memfd_create"));
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    return fail(Error::from_errno("ftruncate memfd"));
  }
  VMM_TRY_DO(add_seals(fd.get(), F_SEAL_SHRINK | F_SEAL_GROW));
  return MemFd(std::move(fd), bytes);
}

Result<void> MemFd::freeze_seals() const { return add_seals(fd_.get(), F_SEAL_SEAL); }

Result<void> MemFd::seal_future_writes() const { return add_seals(fd_.get(), F_SEAL_FUTURE_WRITE); }

}  // namespace vmm::sys_util
