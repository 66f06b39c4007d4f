// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {

/// Lets the guest reach memory of a device without leaving to this process; with KVM: memory slots.
///
/// Threads: any, but it is called with locks of a device held: it must not call back into one.
class RegionMapper {
 public:
  virtual ~RegionMapper() = default;
  RegionMapper(const RegionMapper&) = delete;
  RegionMapper& operator=(const RegionMapper&) = delete;

  /// `memory`, of whole pages, is at `address` for as long as the result lives; when the result's
  /// destructor returns no vCPU reaches it any more. The memory outlives the result.
  /// Errors: those of the hypervisor; the range is then reached through the bus.
  virtual Result<std::shared_ptr<const void>> map(GuestAddress address, std::span<std::byte> memory,
                                                  bool writable) = 0;

 protected:
  RegionMapper() = default;
};

/// Areas of one region of a device that the guest reaches by itself, where it has the region.
///
/// Threads: one at a time.
class RegionMemory {
 public:
  /// Maps areas of the region into this process. A region that cannot be read has none.
  /// Errors: those of Device::map().
  static Result<RegionMemory> map(const Device& device, std::uint32_t region,
                                  std::span<const RegionArea> areas);

  RegionMemory() = default;

  /// Gives the areas to the guest, which has the region at `base` now.
  /// Errors: the first of the mapper's; the other areas are the guest's all the same. EOVERFLOW
  /// when an area passes the end of the address space.
  Result<void> show(RegionMapper& mapper, GuestAddress base);
  /// Lets the devices of an address space reach them, too, where the guest has the region at `base`
  /// (peer-to-peer DMA). Memory that the kernel does not let go of again keeps the device's file
  /// open until the address space is closed.
  /// Errors: the first of AddressSpace::map(); the other areas are reached all the same. Kernels
  /// refuse what is not memory of theirs (iommufd: EFAULT). EOVERFLOW as for show().
  Result<void> share(AddressSpace& space, GuestAddress base);
  /// Takes them back: no vCPU and no other device reaches them when it returns.
  void hide();
  /// How many areas there are.
  [[nodiscard]] std::size_t areas() const { return areas_.size(); }

 private:
  struct Area {
    std::uint64_t offset = 0;
    std::shared_ptr<sys_util::Mapping> memory;
    std::shared_ptr<const void> shown;  // let go before `memory`, as is the next
    DmaMapping shared;
  };

  bool writable_ = false;
  std::vector<Area> areas_;
};

}  // namespace vmm::vfio
