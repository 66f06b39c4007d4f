// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vfio/attachment.h"
#include "vmm/vfio/device_info.h"
#include "vmm/vfio/kernel.h"

namespace vmm::vfio {

/// Kinds of interrupts of a PCI device: VFIO_PCI_*_IRQ_INDEX.
enum class PciIrq : std::uint8_t { kIntx, kMsi, kMsix, kError, kRequest };

/// @{
/// Regions of a PCI device: VFIO_PCI_*_REGION_INDEX; BARs are 0 to 5.
inline constexpr std::uint32_t kRomRegion = 6;
inline constexpr std::uint32_t kConfigRegion = 7;
/// @}

/// Interrupts [first, first + count) of one kind.
struct IrqRange {
  std::uint32_t index = 0;  ///< the kind: a PciIrq for PCI devices
  /// @{
  std::uint32_t first = 0;  ///< which of the kind
  std::uint32_t count = 1;
  /// @}
};

/// A device of the host, held for a guest. Made by AddressSpace::attach().
///
/// Regions and interrupts are asked for once, when it is opened. What leaves a region, or names an
/// interrupt that is not there, is refused before the kernel hears of it.
///
/// Threads: regions may be read and written by several at once; the rest is for one at a time.
class Device {
 public:
  /// Interrupts of one kind that can be asked for at once.
  static constexpr std::uint32_t kMaxVectors = 2048;

  /// Takes a device's descriptor and asks it what it is. `kernel` must outlive the device, which
  /// holds `attachment` (may be null, for descriptors that somebody else attached) as long as it
  /// lives.
  /// Errors: VfioError for answers that make no sense; those of the kernel.
  static Result<std::unique_ptr<Device>> create(Kernel& kernel, UniqueFd fd,
                                                std::shared_ptr<const Attachment> attachment);

  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  ~Device() {
    if (attachment_ != nullptr) attachment_->closing(fd());
  }

  /// What the kernel said when the device was opened.
  [[nodiscard]] const DeviceInfo& info() const { return info_; }
  /// Of that number; one without bytes when the device has none such.
  [[nodiscard]] const RegionInfo& region(std::uint32_t index) const;
  /// Of that kind; a count of 0 when the device has none such.
  [[nodiscard]] const IrqInfo& irq(std::uint32_t index) const;
  /// The same for a PCI device.
  [[nodiscard]] const IrqInfo& irq(PciIrq kind) const {
    return irq(static_cast<std::uint32_t>(kind));
  }
  /// The largest count of all kinds of interrupts.
  [[nodiscard]] std::uint32_t max_interrupts() const;

  /// Reads bytes of a region, with one access where the kernel can.
  /// Errors: kNoRegion, kOutsideRegion, kNotReadable; EIO when the device gives fewer; those of
  /// pread(2).
  Result<void> read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> bytes) const;
  /// Errors: as with read(), and kNotWritable.
  Result<void> write(std::uint32_t region, std::uint64_t offset,
                     std::span<const std::byte> bytes) const;
  /// Maps an area of a region, as readable and writable as the region is.
  /// Errors: kNoRegion, kOutsideRegion, kNotMappable; those of mmap(2).
  [[nodiscard]] Result<sys_util::Mapping> map(std::uint32_t region, RegionArea area) const;

  /// Lets the device signal a descriptor (an eventfd) for each interrupt from `first` on; -1 for
  /// none. The first call for MSI or MSI-X turns it on, and says how many vectors there are unless
  /// more can be added (IrqInfo::fixed_size).
  /// Errors: kNoInterrupt, kNoDescriptors, kNoEventfd; those of the kernel.
  Result<void> set_irqs(std::uint32_t index, std::uint32_t first,
                        std::span<const std::int32_t> fds) const;
  /// Turns all interrupts of a kind off. Errors: kNoInterrupt; those of the kernel.
  Result<void> disable_irqs(std::uint32_t index) const;
  /// As if the device had sent them. Errors: kNoInterrupt; those of the kernel.
  Result<void> trigger_irqs(IrqRange range) const;
  /// Errors: kNoInterrupt, kNotMaskable; those of the kernel.
  Result<void> mask_irqs(IrqRange range) const;
  /// Errors: as with mask_irqs().
  Result<void> unmask_irqs(IrqRange range) const;
  /// Unmasks a level-triggered interrupt when the descriptor is signalled: what KVM's resample
  /// descriptor is for. -1 ends that. Errors: kNoInterrupt, kNoEventfd, kNotMaskable; those of the
  /// kernel.
  Result<void> set_unmask_fd(std::uint32_t index, std::uint32_t number, std::int32_t fd) const;

  /// Lets a write of `bytes` with `value` at the offset come from the descriptor, past this
  /// process; -1 ends that. Errors: kNoRegion, kOutsideRegion; EINVAL for sizes other than 1, 2, 4
  /// and 8; those of the kernel.
  Result<void> set_ioeventfd(std::uint32_t region, RegionArea area, std::uint64_t value,
                             std::int32_t fd) const;

  /// Resets the function. Errors: kNoReset; those of the kernel.
  Result<void> reset() const;
  /// What a reset of the bus would hit, this device among them.
  /// Errors: kTooLarge for more than 1024; those of the kernel (ENODEV where it cannot reset).
  [[nodiscard]] Result<std::vector<ResetNeighbour>> hot_reset_neighbours() const;
  /// Resets the bus or slot, when everything that it hits is held through the same address space.
  /// Errors: kForeignDevice; those of hot_reset_neighbours() and the kernel.
  Result<void> hot_reset() const;

  /// Outlives the device.
  [[nodiscard]] Kernel& kernel() const { return kernel_; }
  /// Borrowed; for KVM's VFIO device, and for features.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  struct HotReset {
    std::uint32_t flags = 0;
    std::vector<ResetNeighbour> neighbours;
  };

  Device(Kernel& kernel, UniqueFd fd, std::shared_ptr<const Attachment> attachment)
      : kernel_(kernel), attachment_(std::move(attachment)), fd_(std::move(fd)) {}

  Result<void> ask();
  Result<RegionInfo> ask_region(std::uint32_t index) const;
  Result<IrqInfo> ask_irq(std::uint32_t index) const;
  Result<const RegionInfo*> check(std::uint32_t region, RegionArea area) const;
  Result<const IrqInfo*> check(IrqRange range) const;
  Result<void> act(std::uint32_t action, IrqRange range) const;
  Result<void> set_fds(std::uint32_t action, IrqRange range,
                       std::span<const std::int32_t> fds) const;
  Result<HotReset> ask_hot_reset() const;

  Kernel& kernel_;
  std::shared_ptr<const Attachment> attachment_;  // let go after the descriptor is closed
  UniqueFd fd_;
  DeviceInfo info_;
  std::vector<RegionInfo> regions_;
  std::vector<IrqInfo> irqs_;
};

}  // namespace vmm::vfio
