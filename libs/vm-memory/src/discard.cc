// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/discard.h"

#include <sys/mman.h>

#include <cerrno>

#include "vmm/base/checked.h"
#include "vmm/sys_util/file_space.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::vm_memory {

std::uint64_t discard_granule(const Region& region) {
  switch (region.huge_pages()) {
    case HugePages::kNone:
      break;
    case HugePages::k2MiB:
      return std::uint64_t{2} << 20;
    case HugePages::k1GiB:
      return std::uint64_t{1} << 30;
  }
  return sys_util::page_size();
}

Result<void> discard(const Region& region, const RegionPart& part) {
  const std::uint64_t rest = discard_granule(region) - 1;
  if (((part.offset | part.bytes) & rest) != 0 || !fits(part.offset, part.bytes, region.bytes())) {
    return fail(Error::os(EINVAL, "discard guest memory"));
  }
  if (part.bytes == 0) return {};
  if (region.backing() == Backing::kAnonymous) {
    if (::madvise(region.host().data() + part.offset, part.bytes, MADV_DONTNEED) != 0) {
      return fail(Error::from_errno("MADV_DONTNEED"));
    }
  } else if (region.backing() == Backing::kMemfd) {
    // Through the file, as others may have it mapped too.
    const FileBacking file = *region.file();
    VMM_TRY_DO(sys_util::punch_hole(file.fd, {file.offset + part.offset, part.bytes}));
  } else {
    return fail(Error::os(EOPNOTSUPP, "discard guest memory"));
  }
  if (region.dirty() != nullptr) region.dirty()->mark(part.offset, part.bytes);
  return {};
}

// The addresses stay taken all the while, so that nobody else's mapping gets there.
Result<void> cut_off(const Region& region) {
  if (region.backing() != Backing::kFile) {
    return fail(Error::os(EOPNOTSUPP, "cut off guest memory"));
  }
  const std::span<std::byte> host = region.host();
  constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED;
  if (::mmap(host.data(), host.size(), PROT_READ | PROT_WRITE, kFlags, -1, 0) == MAP_FAILED) {
    return fail(Error::from_errno("mmap"));
  }
  (void)::madvise(host.data(), host.size(), MADV_DONTDUMP);
  return {};
}

}  // namespace vmm::vm_memory
