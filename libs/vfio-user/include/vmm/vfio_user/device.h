// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vfio/device_info.h"
#include "vmm/vfio/dma_span.h"

namespace vmm::vfio_user {

class DmaSpace;
class Interrupts;
class Migration;

/// A part of a region whose writes a client's kernel may turn into events.
struct ServedEvent {
  std::uint64_t offset = 0;                 ///< in the region, bytes
  std::uint64_t bytes = 0;                  ///< 0: writes of any length
  std::optional<std::uint64_t> value = {};  ///< nullopt: whatever is written
  int fd = -1;                              ///< an eventfd of the device's
};

/// A region as a device describes it.
struct ServedRegion {
  std::uint64_t bytes = 0;      ///< 0: there is no such region
  bool readable = true;         ///< false: the client's reads are refused
  bool writable = true;         ///< false: the client's writes are refused
  int fd = -1;                  ///< the file behind it, which clients map; the device's
  std::uint64_t fd_offset = 0;  ///< where the region is in it
  /// What may be mapped, in whole pages. None, with a file: all of it.
  std::vector<vfio::RegionArea> mappable = {};
  std::vector<ServedEvent> events = {};  ///< for kGetRegionIoFds; none: there are no such parts
};

/// A device that a server shows its clients: what a program implements.
///
/// Accesses are inside of their regions, and as long as the client made them: any length.
///
/// Threads: that of the session.
class Device {
 public:
  virtual ~Device() = default;

  /// What it is, and how many regions and kinds of interrupts it has. Constant, as region() and
  /// irq() are.
  [[nodiscard]] virtual vfio::DeviceInfo info() const = 0;
  /// What it has under a number below info()'s count of regions; 0 bytes: nothing.
  [[nodiscard]] virtual ServedRegion region(std::uint32_t index) const = 0;
  /// At most vfio::Device::kMaxVectors of a kind.
  [[nodiscard]] virtual vfio::IrqInfo irq(std::uint32_t index) const = 0;

  /// An error is told to the client: an errno value as it is, others as EINVAL.
  virtual Result<void> read(std::uint32_t region, std::uint64_t offset,
                            std::span<std::byte> bytes) = 0;
  /// As read(). `bytes` are of this call only.
  virtual Result<void> write(std::uint32_t region, std::uint64_t offset,
                             std::span<const std::byte> bytes) = 0;
  /// As the client asks, when info().resettable.
  virtual Result<void> reset() { return {}; }

  /// A client is there: its memory and interrupts may be used until detached().
  virtual void attached(DmaSpace& dma, Interrupts& interrupts) = 0;
  /// The client has gone. The state of the device stays, for the next one.
  virtual void detached() = 0;

  /// The client gives memory, or takes it back: when this returns, nothing uses it any more.
  virtual void dma_added(vfio::DmaSpan) {}
  /// As dma_added(); the memory may still be used until this returns.
  virtual void dma_removed(vfio::DmaSpan) {}
  /// An interrupt was unmasked: the time to trigger it again if its level is still high.
  virtual void unmasked(std::uint32_t /*index*/, std::uint32_t /*number*/) {}

  /// Saving and restoring its state; none: it cannot.
  virtual Migration* migration() { return nullptr; }

 protected:
  Device() = default;
  ///@{
  /// For derived classes.
  Device(const Device&) = default;
  Device& operator=(const Device&) = default;
  ///@}
};

}  // namespace vmm::vfio_user
