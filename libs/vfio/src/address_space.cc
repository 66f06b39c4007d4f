// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/address_space.h"

#include <algorithm>
#include <cerrno>

#include "container.h"
#include "iommufd.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::vfio {

DmaMapping::~DmaMapping() {
  if (space_ == nullptr) return;
  const DmaSpan range = range_;
  if (const auto done = unmap(); !done) {
    VMM_LOG(kError, "DMA of 0x%llx bytes at 0x%llx: %s",
            static_cast<unsigned long long>(range.bytes),
            static_cast<unsigned long long>(range.iova), to_string(done.error()).c_str());
  }
}

Result<void> DmaMapping::unmap() {
  if (space_ == nullptr) return {};
  const auto space = std::move(space_);
  return space->unmap(std::exchange(range_, {}));
}

AddressSpace::~AddressSpace() = default;

Result<std::shared_ptr<AddressSpace>> AddressSpace::open(Kernel& kernel) {
  return open(kernel, Options{});
}

Result<std::shared_ptr<AddressSpace>> AddressSpace::open(Kernel& kernel, Options options) {
  if (options.interface == Interface::kUser) return fail(Error::os(EINVAL, "open an IOMMU"));
  if (options.interface != Interface::kGroups) {
    auto fd = kernel.open("/dev/iommu");
    if (fd) return IommufdSpace::create(kernel, std::move(options), std::move(*fd));
    if (options.interface == Interface::kIommufd) return fail(fd.error());
  }
  VMM_TRY(auto container, kernel.open("/dev/vfio/vfio"));
  return ContainerSpace::create(kernel, std::move(options), std::move(container));
}

Result<std::shared_ptr<AddressSpace>> AddressSpace::adopt(Kernel& kernel, Options options,
                                                          UniqueFd iommufd) {
  return IommufdSpace::create(kernel, std::move(options), std::move(iommufd));
}

Result<std::unique_ptr<Device>> AddressSpace::attach_fd(UniqueFd /*device*/,
                                                        std::optional<std::uint32_t> /*bound_as*/) {
  return fail(Error::os(EOPNOTSUPP, "attach a device's descriptor"));
}

bool AddressSpace::is_free(DmaSpan range) const {
  const auto next = entries_.upper_bound(range.iova);
  if (next != entries_.end() && next->first - range.iova < range.bytes) return false;
  if (next == entries_.begin()) return true;
  const auto& [iova, entry] = *std::prev(next);
  return range.iova - iova >= entry.memory.size();
}

Result<DmaMapping> AddressSpace::map(DmaMemory memory) {
  const DmaSpan range{.iova = memory.iova, .bytes = memory.memory.size()};
  const std::uint64_t page = sys_util::page_size();
  const auto host = reinterpret_cast<std::uintptr_t>(memory.memory.data());
  if (range.bytes == 0 || (range.iova | range.bytes | host) % page != 0 ||
      range.bytes - 1 > UINT64_MAX - range.iova) {
    return fail(VfioError::kBadRange);
  }
  const MutexLock lock(mutex_);
  if (!is_free(range)) return fail(VfioError::kOverlap);
  Entry entry{.memory = memory.memory,
              .owner = std::move(memory.owner),
              .device_writes = memory.device_writes,
              .fd = memory.fd,
              .fd_offset = memory.fd_offset};
  VMM_TRY_DO(kernel_map(range.iova, entry));
  entries_.emplace(range.iova, std::move(entry));
  return DmaMapping(shared_from_this(), range);
}

Result<void> AddressSpace::unmap(DmaSpan range) {
  // A DmaMapping has one, and asks once. Its memory may go when the lock is free again.
  Entries::node_type entry;
  const MutexLock lock(mutex_);
  entry = entries_.extract(range.iova);
  auto done = kernel_unmap(range);
  if (!done && entry) stuck_.push_back(std::move(entry.mapped().owner));
  return done;
}

std::uint64_t AddressSpace::mapped_bytes() const {
  const MutexLock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [iova, entry] : entries_) sum += entry.memory.size();
  return sum;
}

Result<std::vector<DmaSpan>> AddressSpace::usable() {
  const MutexLock lock(mutex_);
  VMM_TRY(auto ranges, kernel_usable());
  std::ranges::sort(ranges, {}, &DmaSpan::iova);
  return ranges;
}

Result<void> AddressSpace::set_dirty_tracking(bool on) {
  const MutexLock lock(mutex_);
  return kernel_set_dirty_tracking(on);
}

Result<void> AddressSpace::read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                      std::span<std::uint64_t> bitmap) {
  if (!bitmap_fits(range, page_bytes, bitmap)) return fail(VfioError::kBadRange);
  const MutexLock lock(mutex_);
  return kernel_read_dirty(range, page_bytes, bitmap);
}

}  // namespace vmm::vfio
