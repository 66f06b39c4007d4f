// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_device/device_type.h"
#include "vmm/virtio_device/interrupt.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_device {

/// What a device gets when the driver sets DRIVER_OK.
struct Activation {
  const vm_memory::GuestMemory& memory;  ///< outlives the device's activity
  std::uint64_t features = 0;            ///< negotiated
  std::vector<ActiveQueue> queues;       ///< those that the driver enabled, ascending by index
  std::shared_ptr<Interrupt> interrupt;  ///< the way to the driver, never nullptr

  /// Whether a feature was negotiated; of several, whether one was.
  [[nodiscard]] bool has(std::uint64_t feature) const { return (features & feature) != 0; }
};

/// A range of memory that a device shares with its driver: virtio 1.3, 2.10.
struct SharedMemoryRegion {
  std::uint8_t id = 0;      ///< the specification's shmid: which of a device's regions
  std::uint64_t bytes = 0;  ///< a power of two, of 4096 at least
};

/// What a VirtioDevice with a shared memory region implements besides. Threads: as VirtioDevice.
class SharedMemoryOwner {
 public:
  /// At most one for each transport that has one window. Constant.
  [[nodiscard]] virtual SharedMemoryRegion shared_memory() const = 0;
  /// Where the guest sees the region from now on; nullptr address: nowhere. The device maps it
  /// there, or moves it.
  virtual Result<void> place_shared_memory(const GuestAddress* address) = 0;

 protected:
  ~SharedMemoryOwner() = default;
};

/// What a VirtioDevice implements besides whose state is more than its rings and what the driver
/// wrote to the configuration space. Threads: as VirtioDevice.
class StateOwner {
 public:
  static constexpr std::size_t kMaxBytes = 16 << 20;  ///< of what save_state() gives

  /// What a device of the same kind elsewhere needs to go on, at most kMaxBytes. After the workers
  /// were destroyed and before reset(), or when idle.
  [[nodiscard]] virtual std::vector<std::byte> save_state() = 0;
  /// Takes over what another one saved, when idle; the next activate() goes on from there.
  /// Errors: for what no such device saves; nothing changes then.
  virtual Result<void> load_state(std::span<const std::byte> state) = 0;

 protected:
  ~StateOwner() = default;
};

/// A device, independent of transport, threads and hypervisor: virtio 1.3, sections 2 and 5.
///
///   idle -> set_features() -> activate() -> active -> (workers are destroyed) -> reset()
///        -> set_features(0) -> idle -> ...
///
/// Threads: every function may be called from any thread, one after another: the transport
/// serialises them. The device's workers run meanwhile on threads of their own, and so do control
/// functions that a device offers besides; an implementation guards what they share.
class VirtioDevice {
 public:
  virtual ~VirtioDevice() = default;
  VirtioDevice(const VirtioDevice&) = delete;
  VirtioDevice& operator=(const VirtioDevice&) = delete;

  /// The device ID of section 5. Constant.
  [[nodiscard]] virtual DeviceType type() const = 0;
  /// The most entries of each queue, a power of two in [1, 32768]. Constant.
  [[nodiscard]] virtual std::span<const std::uint16_t> queue_sizes() const = 0;
  /// What the device offers: the bits of its type and, if it can, IN_ORDER, RING_RESET and
  /// ACCESS_PLATFORM. The other bits are the transport's. Constant.
  [[nodiscard]] virtual std::uint64_t features() const = 0;
  /// Which of the transport's features of queues it bears; all, unless others serve its queues.
  /// Constant.
  [[nodiscard]] virtual std::uint64_t queue_features() const { return ~std::uint64_t{0}; }

  /// Bytes of the configuration space, at most 4096. Constant.
  [[nodiscard]] virtual std::size_t config_bytes() const = 0;
  /// Fills all of `config`, which has config_bytes() bytes.
  virtual void read_config(std::span<std::byte> config) = 0;
  /// The driver writes `data` at `offset`, all of it inside the configuration space. Fields that
  /// are read-only, or offsets that make no sense, are passed over.
  virtual void write_config(std::uint64_t offset, std::span<const std::byte> data) = 0;

  /// Whether the device can do with what a driver has chosen of the features that are offered; else
  /// FEATURES_OK is refused: 2.2.2.
  [[nodiscard]] virtual bool accepts(std::uint64_t /*features*/) const { return true; }
  /// The features that the driver has chosen, at FEATURES_OK, for those whose configuration space
  /// depends on them; 0 when it is gone.
  virtual void set_features(std::uint64_t /*features*/) {}
  /// Makes the workers that serve the queues. Errors: the driver is told that the
  /// device needs a reset.
  virtual Result<WorkerList> activate(Activation activation) = 0;
  /// Forgets the driver: after the workers were destroyed, also when activate() had failed.
  virtual void reset() = 0;

  /// The device's shared memory; nullptr when it has none.
  [[nodiscard]] virtual SharedMemoryOwner* shared_memory_owner() { return nullptr; }
  /// The device's state; nullptr when it has none. Constant.
  [[nodiscard]] virtual StateOwner* state_owner() { return nullptr; }

 protected:
  VirtioDevice() = default;
};

}  // namespace vmm::virtio_device
