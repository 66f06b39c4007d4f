// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/dma_span.h"
#include "vmm/vfio/kernel.h"

namespace vmm::vfio {

class AddressSpace;

/// Memory that devices may reach. `owner` keeps it alive: a device may write to it until the kernel
/// has unmapped it.
struct DmaMemory {
  std::uint64_t iova = 0;             ///< where devices see it: the guest's address
  std::span<std::byte> memory;        ///< whole pages of this process
  std::shared_ptr<const void> owner;  ///< may be null
  bool device_writes = true;          ///< false: they only read
  /// The file that the memory is of, and where in it: for devices of other processes, which map it.
  /// `owner` keeps the descriptor open. -1: none; such devices ask for each byte then.
  int fd = -1;
  std::uint64_t fd_offset = 0;  ///< bytes
};

/// A mapping of memory for DMA, undone once by its owner. It keeps its address space alive.
class DmaMapping {
 public:
  DmaMapping() = default;
  /// Leaves `other` without a mapping.
  DmaMapping(DmaMapping&& other) noexcept
      : space_(std::move(other.space_)), range_(std::exchange(other.range_, {})) {}
  /// Unmaps what this one had, as the destructor does.
  DmaMapping& operator=(DmaMapping&& other) noexcept {
    DmaMapping(std::move(other)).swap(*this);
    return *this;
  }
  /// Unmaps; an error is logged, and the memory is kept until the address space is closed.
  ~DmaMapping();

  /// Unmaps now. The mapping is over whatever the answer is; when the kernel did not unmap all of
  /// it, the memory is kept until the address space is closed.
  /// Errors: kPartialUnmap; those of the kernel.
  Result<void> unmap();
  /// What is mapped; 0 bytes after unmap() or a move.
  [[nodiscard]] DmaSpan range() const { return range_; }

 private:
  friend class AddressSpace;
  DmaMapping(std::shared_ptr<AddressSpace> space, DmaSpan range)
      : space_(std::move(space)), range_(range) {}
  void swap(DmaMapping& other) noexcept {
    std::swap(space_, other.space_);
    std::swap(range_, other.range_);
  }

  std::shared_ptr<AddressSpace> space_;
  DmaSpan range_;
};

/// Which of the kernel's interfaces to use.
enum class Interface : std::uint8_t {
  kBest,     ///< iommufd where /dev/iommu is, groups otherwise
  kGroups,   ///< /dev/vfio/vfio, container and groups
  kIommufd,  ///< /dev/iommu, a character device for each device
  kUser,     ///< no kernel: processes that serve devices; open() does not make such a one
};

/// What devices that are passed to one guest see of memory: an IOMMU's mappings, shared by them
/// all.
///
/// Mappings may be made before the first device is attached, and stay when the last one goes.
///
/// Threads: any may map, unmap and ask. Devices are attached and let go one at a time.
class AddressSpace : public std::enable_shared_from_this<AddressSpace> {
 public:
  /// How an address space is made.
  struct Options {
    Interface interface = Interface::kBest;  ///< kUser is refused by open()
    /// Called with the descriptor of a group or device before it is used, and when it is let go:
    /// for KVM's VFIO device (KVM_DEV_VFIO_FILE).
    std::function<Result<void>(int fd)> on_attach = nullptr;
    /// The same descriptor, when it is let go.
    std::function<void(int fd)> on_detach = nullptr;
    /// Page tables that can log writes (iommufd; with groups the kernel decides by itself).
    bool dirty_tracking = false;
    /// Also devices that no IOMMU is in front of (VFIO_NOIOMMU; groups only, CAP_SYS_RAWIO):
    /// nothing is mapped for them, and what they reach by DMA is all of the host's memory, at its
    /// own addresses. For devices without DMA.
    bool unsafe_noiommu = false;
  };

  /// Errors: EINVAL for kUser; kBadApiVersion, kNoType1v2; those of opening /dev/iommu or
  /// /dev/vfio/vfio. `kernel` must outlive everything that comes of it.
  static Result<std::shared_ptr<AddressSpace>> open(Kernel& kernel, Options options);
  /// With the default options.
  static Result<std::shared_ptr<AddressSpace>> open(Kernel& kernel);
  /// On an open /dev/iommu, which a process that may open nothing was given. `options.interface`
  /// does not matter. Errors: those of the kernel.
  static Result<std::shared_ptr<AddressSpace>> adopt(Kernel& kernel, Options options,
                                                     UniqueFd iommufd);
  virtual ~AddressSpace();

  /// Which one it is, after the choice: never kBest.
  [[nodiscard]] virtual Interface interface() const = 0;

  /// Holds the device at a path of sysfs (/sys/bus/pci/devices/0000:00:06.0), which its host driver
  /// has left for vfio-pci or its like. It is let go when the object is destroyed.
  /// Errors: kNoGroup, kNoIommu, kNotViable, kNoCharacterDevice; EBUSY when another process has it;
  /// others of the kernel.
  virtual Result<std::unique_ptr<Device>> attach(const std::string& sysfs_path) = 0;

  /// Holds the device whose character device (/dev/vfio/devices/vfio0) somebody else has opened.
  /// `bound_as`: for one that is bound to this space's iommufd already, the number that the kernel
  /// gave it then; a device that needs KVM has been told of it before that.
  /// Errors: EOPNOTSUPP for others than iommufd; those of the kernel (EINVAL: it is bound already).
  virtual Result<std::unique_ptr<Device>> attach_fd(UniqueFd device,
                                                    std::optional<std::uint32_t> bound_as = {});

  /// Lets devices reach memory.
  /// Errors: kBadRange, kOverlap; those of the kernel (ENOMEM: the limit of locked memory).
  Result<DmaMapping> map(DmaMemory memory);
  /// How many bytes are mapped.
  [[nodiscard]] std::uint64_t mapped_bytes() const;

  /// Where mappings may be, ascending: some addresses are the hardware's own. Empty before a device
  /// is attached, when the kernel cannot know.
  /// Errors: kBadCapability, kInfoTooLarge; those of the kernel.
  Result<std::vector<DmaSpan>> usable();

  /// Lets the IOMMU log what devices write. Without support in hardware the kernel takes every
  /// mapped page for written. Errors: those of the kernel; EOPNOTSUPP before a device is attached.
  Result<void> set_dirty_tracking(bool on);
  /// Adds pages written since the last time to `bitmap`; the range must be a mapping, or for
  /// iommufd inside of mappings. Errors: kBadRange; those of the kernel.
  Result<void> read_dirty(DmaSpan range, std::uint64_t page_bytes, std::span<std::uint64_t> bitmap);

 protected:
  /// A mapping, by its first address.
  struct Entry {
    /// @{
    /// As in DmaMemory.
    std::span<std::byte> memory;
    std::shared_ptr<const void> owner;
    bool device_writes = true;
    int fd = -1;
    std::uint64_t fd_offset = 0;
    /// @}
  };
  /// By the first address; they do not overlap.
  using Entries = std::map<std::uint64_t, Entry>;

  /// For the interfaces: both as open() got them.
  AddressSpace(Kernel& kernel, Options options) : kernel_(kernel), options_(std::move(options)) {}

  /// @{
  /// Called with checked ranges of whole mappings. Errors: those of the kernel.
  virtual Result<void> kernel_map(std::uint64_t iova, const Entry& entry) VMM_REQUIRES(mutex_) = 0;
  virtual Result<void> kernel_unmap(DmaSpan range) VMM_REQUIRES(mutex_) = 0;
  /// @}
  /// In any order.
  virtual Result<std::vector<DmaSpan>> kernel_usable() VMM_REQUIRES(mutex_) = 0;
  /// Errors: those of the kernel; EOPNOTSUPP where it cannot.
  virtual Result<void> kernel_set_dirty_tracking(bool on) VMM_REQUIRES(mutex_) = 0;
  /// The bitmap has a bit for each page of the range.
  virtual Result<void> kernel_read_dirty(DmaSpan range, std::uint64_t page_bytes,
                                         std::span<std::uint64_t> bitmap) VMM_REQUIRES(mutex_) = 0;

  /// @{
  /// What the interfaces need: the kernel, the options and the mappings of now.
  [[nodiscard]] Kernel& kernel() const { return kernel_; }
  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] const Entries& entries() const VMM_REQUIRES(mutex_) { return entries_; }
  /// @}

  /// Held while the kernel is asked for mappings, so that what it has is always what is here. With
  /// it nobody else is called, nor a device let go.
  mutable Mutex mutex_;

 private:
  friend class DmaMapping;
  Result<void> unmap(DmaSpan range);
  [[nodiscard]] bool is_free(DmaSpan range) const VMM_REQUIRES(mutex_);

  Kernel& kernel_;
  Options options_;
  Entries entries_ VMM_GUARDED_BY(mutex_);
  // Memory that the kernel did not let go.
  std::vector<std::shared_ptr<const void>> stuck_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vfio
