// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/irq_events.h"
#include "vmm/vfio/region_memory.h"
#include "vmm/vfio_platform/guest_node.h"
#include "vmm/vfio_platform/line_router.h"
#include "vmm/vm_device/bus.h"

namespace vmm::vfio_platform {

/// Who gives a device its places in the guest.
struct Places {
  /// An address for registers, on a page of the host.
  std::function<Result<GuestAddress>(std::uint64_t bytes)> registers;
  /// A line that nobody has.
  std::function<Result<std::uint32_t>()> line;
  /// The line in the cells of the guest's interrupt controller.
  std::function<std::array<std::uint32_t, 3>(std::uint32_t line, bool level)> cells;
};

/// Where sysfs has a platform device of that name; a path is as it was.
[[nodiscard]] std::string sysfs_path(std::string_view name_or_path);

/// Holds a platform device, when VFIO has all devices of its IOMMU group: with one of them
/// elsewhere, or left alone, a guest could reach it, or it the guest. `kernel` is that of `space`.
/// Errors: vfio::VfioError::kNotViable for such a group (vfio::group_members() tells who it is);
/// ENOTSUP for what is no platform device; those of AddressSpace::attach().
Result<std::unique_ptr<vfio::Device>> open(vfio::Kernel& kernel, vfio::AddressSpace& space,
                                           std::string_view name_or_path);

/// A platform device of the host for a guest: its registers on the guest's bus, and in its memory
/// as far as the kernel lets us map them; its interrupts on lines of the guest.
///
/// Threads: one at a time; accesses through the bus may come from any while it is attached.
class PlatformDevice {
 public:
  /// What a device is made of.
  struct Wiring {
    std::unique_ptr<vfio::Device> device;  ///< not null, held through its address space
    /// Both outlive this object, as far as they are there.
    vfio::RegionMapper* mapper = nullptr;  ///< nullptr: all accesses are trapped
    LineRouter* lines = nullptr;           ///< nullptr: no interrupts
    std::uint32_t trapped_regions = 0;     ///< those that are not mapped, a bit each
  };
  /// Regions, and interrupts, of which a device may have no more.
  static constexpr std::uint32_t kMaxParts = 32;

  /// Resets the device, when it can be reset.
  /// Errors: ENOTSUP for what is no platform device, or has more parts than that;
  /// vfio::VfioError::kNoRegion for a region without bytes, kNoEventfd for an interrupt that does
  /// not signal descriptors; those of vfio::Device.
  static Result<std::unique_ptr<PlatformDevice>> create(Wiring wiring);
  PlatformDevice(const PlatformDevice&) = delete;
  PlatformDevice& operator=(const PlatformDevice&) = delete;
  /// Detaches it.
  ~PlatformDevice();

  /// At most kMaxParts.
  [[nodiscard]] std::uint32_t regions() const { return device_->info().regions; }
  /// Of a region, in bytes.
  [[nodiscard]] std::uint64_t region_bytes(std::uint32_t region) const {
    return device_->region(region).bytes;
  }
  /// At most kMaxParts.
  [[nodiscard]] std::uint32_t interrupts() const { return device_->info().interrupts; }
  /// Whether the interrupt is a level; an edge otherwise.
  [[nodiscard]] bool is_level(std::uint32_t interrupt) const {
    return device_->irq(interrupt).automasked;
  }

  /// Puts the regions to `bases` on the bus, which outlives the attachment, and connects the
  /// interrupts with `lines`, one for each. Bases of regions that are memory of the guest are on
  /// pages of the host; others are slow.
  /// Errors: EINVAL unless there is one base and one line for each part, EALREADY when it is
  /// attached; those of the bus, the router and the kernel. Nothing is attached then.
  Result<void> attach(vm_device::MmioBus& bus, std::span<const GuestAddress> bases,
                      std::span<const std::uint32_t> lines);
  /// The same at places that it is given; for the guest's tree, where that is.
  /// Errors: those of `places` and of attach().
  Result<GuestPlace> attach(vm_device::MmioBus& bus, const Places& places);
  /// Takes it all back: when it returns, the guest reaches nothing of the device, and no interrupt
  /// comes. For a device that is not attached, nothing.
  void detach();
  /// Brings the device back to its beginning. Errors: kNoReset; those of the kernel.
  Result<void> reset() { return device_->reset(); }

 private:
  struct Interrupt {
    vfio::IrqEvents events;
    std::shared_ptr<const void> connected;
    bool enabled = false;
  };

  explicit PlatformDevice(Wiring&& wiring)
      : device_(std::move(wiring.device)), mapper_(wiring.mapper), lines_(wiring.lines) {}
  Result<void> set_up(std::uint32_t trapped_regions);
  Result<void> add_to(vm_device::MmioBus& bus, std::span<const GuestAddress> bases);
  Result<void> connect(std::span<const std::uint32_t> lines);
  void show(std::span<const GuestAddress> bases);

  const std::unique_ptr<vfio::Device> device_;
  vfio::RegionMapper* const mapper_;
  LineRouter* const lines_;
  std::vector<vfio::RegionMemory> memory_;  // one for each region
  std::vector<Interrupt> interrupts_;
  vm_device::MmioBus* bus_ = nullptr;
  std::vector<GuestAddress> bases_;  // on the bus
};

}  // namespace vmm::vfio_platform
