// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/doorbell.h"
#include "vmm/vm_device/irq.h"

namespace vmm::virtio_mmio {

/// The registers: virtio 1.3, 4.2.2. All are 32 bits wide.
enum class Register : std::uint32_t {
  kMagicValue = 0x000,
  kVersion = 0x004,
  kDeviceId = 0x008,
  kVendorId = 0x00c,
  kDeviceFeatures = 0x010,
  kDeviceFeaturesSel = 0x014,
  kDriverFeatures = 0x020,
  kDriverFeaturesSel = 0x024,
  kQueueSel = 0x030,
  kQueueNumMax = 0x034,
  kQueueNum = 0x038,
  kQueueReady = 0x044,
  kQueueNotify = 0x050,
  kInterruptStatus = 0x060,
  kInterruptAck = 0x064,
  kStatus = 0x070,
  kQueueDescLow = 0x080,
  kQueueDescHigh = 0x084,
  kQueueDriverLow = 0x090,
  kQueueDriverHigh = 0x094,
  kQueueDeviceLow = 0x0a0,
  kQueueDeviceHigh = 0x0a4,
  kShmSel = 0x0ac,
  kShmLenLow = 0x0b0,
  kShmLenHigh = 0x0b4,
  kShmBaseLow = 0x0b8,
  kShmBaseHigh = 0x0bc,
  kQueueReset = 0x0c0,
  kConfigGeneration = 0x0fc,
};

/// What MagicValue reads as.
inline constexpr std::uint32_t kMagic = 0x7472'6976;        // "virt"
inline constexpr std::uint64_t kConfigOffset = 0x100;       ///< of the configuration space
inline constexpr std::uint32_t kInterruptUsedBuffers = 1;   ///< of InterruptStatus
inline constexpr std::uint32_t kInterruptConfigChange = 2;  ///< of InterruptStatus

/// A virtio device behind memory-mapped registers, version 2: virtio 1.3, 4.2.
///
/// Registers answer accesses of 4 bytes at multiples of 4; other ones read as 0 and are passed over
/// when written. The configuration space takes any size.
///
/// Threads: any; one lock. Interrupts of the device's workers take a lock of their own, inside
/// which the IrqLine is set.
class MmioTransport final : public vm_device::BusDevice, private virtio_device::InterruptSink {
 public:
  static constexpr std::uint64_t kSize = 0x1000;  ///< bytes of the range on the bus

  /// What the transport connects.
  struct Wiring {
    std::shared_ptr<virtio_device::VirtioDevice> device;  ///< not nullptr
    const vm_memory::GuestMemory& memory;                 ///< outlives the transport
    virtio_device::Workers& workers;                      ///< for this device alone
    /// Asserted while InterruptStatus is not 0. It may be an edge: it rises again when something is
    /// left after an acknowledgement.
    vm_device::IrqLine& irq;
    vm_device::Doorbells& doorbells;  ///< kicks that need no exit; see create()
    GuestAddress base;                ///< where the range is on the bus
    /// Where the device's shared memory is, when it has some.
    std::optional<GuestAddress> shared_memory = std::nullopt;
    /// As virtio_device::TransportCore::Parts.
    std::uint64_t queue_features = virtio_device::TransportCore::kQueueFeatures;
    bool lone_driver = false;  ///< as virtio_device::TransportCore::Parts
  };

  /// Borrowed parts outlive the transport. Doorbells that are refused are done without.
  /// Errors: those of TransportCore::create() and VirtioDevice's place_shared_memory().
  static Result<std::shared_ptr<MmioTransport>> create(const Wiring& wiring);
  ~MmioTransport() override;

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  explicit MmioTransport(const Wiring& wiring);
  Result<void> set_up(const Wiring& wiring);
  void add_doorbells(GuestAddress base) VMM_REQUIRES(mutex_);

  [[nodiscard]] std::uint32_t read_register(Register reg) VMM_REQUIRES(mutex_);
  void write_register(Register reg, std::uint32_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t queue_register(Register reg) const VMM_REQUIRES(mutex_);
  void write_queue_register(Register reg, std::uint32_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t shared_memory_register(Register reg) const VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint32_t queue_of(std::uint32_t notification) const VMM_REQUIRES(mutex_);
  void write_status(std::uint32_t value) VMM_REQUIRES(mutex_);

  void queue_interrupt(std::uint16_t queue) override;
  void config_interrupt() override;
  [[nodiscard]] int queue_interrupt_fd(std::uint16_t queue) override;
  void assert_bits(std::uint32_t bits);
  void clear_bits(std::uint32_t bits);
  [[nodiscard]] std::uint32_t interrupt_status();

  struct SharedMemory {
    virtio_device::SharedMemoryRegion region;
    GuestAddress base;
  };

  vm_device::IrqLine& irq_;
  vm_device::Doorbells& doorbells_;
  std::vector<vm_device::Doorbell> installed_;
  std::optional<SharedMemory> shared_memory_;

  Mutex mutex_;
  std::unique_ptr<virtio_device::TransportCore> core_ VMM_GUARDED_BY(mutex_);
  std::uint32_t device_features_sel_ VMM_GUARDED_BY(mutex_) = 0;
  std::uint32_t driver_features_sel_ VMM_GUARDED_BY(mutex_) = 0;
  std::uint32_t queue_sel_ VMM_GUARDED_BY(mutex_) = 0;
  std::uint32_t shm_sel_ VMM_GUARDED_BY(mutex_) = 0;

  Mutex irq_mutex_;  // after mutex_ and the core's
  std::uint32_t interrupt_status_ VMM_GUARDED_BY(irq_mutex_) = 0;
};

}  // namespace vmm::virtio_mmio
