// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/address_range.h"
#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_mem {

///@{
/// Feature bits: virtio 1.3, 5.15.3.
inline constexpr std::uint64_t kFeatureAcpiPxm = 1u << 0;
inline constexpr std::uint64_t kFeatureUnpluggedInaccessible = 1u << 1;
///@}

/// What has and takes away the memory of the device's region; the VMM implements it.
///
/// Threads: one call at a time, by the device's worker or by who calls Mem::unplug_all(). The guest
/// runs meanwhile.
class MemoryBlocks {
 public:
  virtual ~MemoryBlocks() = default;
  MemoryBlocks(const MemoryBlocks&) = delete;
  MemoryBlocks& operator=(const MemoryBlocks&) = delete;

  /// Lets the guest use these whole blocks, none of which is plugged. Errors: nothing has changed;
  /// the driver may try again.
  virtual Result<void> plug(const AddressRange& range) = 0;
  /// Takes whole blocks away, some of which may not be plugged: from now on the guest must not
  /// reach what was in them, and neither may a device. Errors: as plug().
  virtual Result<void> unplug(const AddressRange& range) = 0;

 protected:
  MemoryBlocks() = default;
};

/// The memory device: virtio 1.3, 5.15. The host asks for an amount of memory, the driver plugs and
/// unplugs blocks of a region until it is there.
///
/// A driver gets no block outside of the usable region, none twice, and no more than was requested.
/// A driver that does not accept UNPLUGGED_INACCESSIBLE is refused: it might read what is not
/// there. Device resets leave the blocks as they are (5.15.5.2); on a reset of the machine the VMM
/// calls unplug_all().
///
/// Threads: as VirtioDevice; the other functions from any thread.
class Mem final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 128;       ///< the most entries of the queue
  static constexpr std::uint64_t kMinBlockBytes = 4096;  ///< the smallest Options::block_bytes
  /// The most blocks of a region: the map of them has one bit each.
  static constexpr std::uint64_t kMaxBlocks = std::uint64_t{1} << 27;

  /// How a memory device is made.
  struct Options {
    AddressRange region{};  ///< multiples of the block size; may be empty
    std::uint64_t block_bytes = std::uint64_t{2} << 20;  ///< a power of two
    std::uint64_t requested = 0;  ///< bytes that the driver is to plug from the start
    /// Bytes that the usable region has beyond what is requested, so that the driver can choose.
    std::uint64_t headroom = std::uint64_t{256} << 20;
    std::optional<std::uint16_t> node{};     ///< the ACPI proximity domain
    std::shared_ptr<MemoryBlocks> blocks{};  ///< required
  };

  /// Errors: EINVAL for a block size, region or request against 5.15.4, more than kMaxBlocks, or
  /// no blocks.
  static Result<std::shared_ptr<Mem>> create(Options options);
  ~Mem() override;

  /// Asks the driver to have that much plugged. Errors: EINVAL for more than the region, or what is
  /// not a multiple of the block size.
  Result<void> set_requested(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t requested() const;  ///< bytes that the driver is asked for
  [[nodiscard]] std::uint64_t plugged() const;    ///< bytes that the driver has plugged now
  [[nodiscard]] std::uint64_t usable() const;     ///< bytes from the start of the region
  /// Takes all blocks away, for a reset of the machine. Errors: those of MemoryBlocks::unplug().
  Result<void> unplug_all();

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kMem;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  /// Not without VIRTIO_MEM_F_UNPLUGGED_INACCESSIBLE: 5.15.5.2.
  [[nodiscard]] bool accepts(std::uint64_t features) const override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  class RegionState;
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};

  explicit Mem(std::shared_ptr<RegionState> state);

  std::shared_ptr<RegionState> state_;

  friend class MemWorker;
};

}  // namespace vmm::virtio_mem
