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
#include "vmm/pci/endpoint.h"
#include "vmm/pci/function.h"
#include "vmm/pci/msix.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/vm_device/doorbell.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::virtio_pci {

namespace detail {
class CommonConfig;
}

/// A virtio device as a PCI function, without the legacy interface: virtio 1.3, 4.1.
///
/// Registers are in BAR 0, as layout.h says; a device's shared memory is BAR 2. Registers take
/// accesses of their own size, 64-bit ones also by halves; other accesses read as zeros and are
/// passed over. The configuration space takes any size.
///
/// Each queue and the configuration have an MSI-X vector; without MSI-X they share the interrupt
/// pin.
///
/// Threads: any. One lock for the registers, which a reset holds until the device's workers are
/// gone; interrupts of the workers do not take it.
class PciTransport final : public pci::Function,
                           private pci::EndpointDevice,
                           private virtio_device::InterruptSink {
 public:
  /// What the transport connects.
  struct Wiring {
    std::shared_ptr<virtio_device::VirtioDevice> device;  ///< not nullptr
    const vm_memory::GuestMemory& memory;  ///< outlives the transport, as the next three do
    virtio_device::Workers& workers;       ///< for this device alone
    vm_device::Doorbells& doorbells;       ///< kicks that need no exit; done without where refused
    vm_device::MsiVectorSource* vectors = nullptr;  ///< nullptr: no MSI-X
    /// As virtio_device::TransportCore::Parts.
    std::uint64_t queue_features = virtio_device::TransportCore::kQueueFeatures;
    bool behind_iommu = false;  ///< as virtio_device::TransportCore::Parts
    bool lone_driver = false;   ///< likewise
    /// BAR 0 has 32 bits: for firmware that cannot reach above 4 GiB.
    bool below_4g = false;
  };

  /// Doorbells that are refused are done without.
  /// Errors: those of TransportCore::create() and MsiVectorSource; EINVAL for more than 1024
  /// queues; kBadBar for shared memory whose size is no power of two of 4096 at least.
  static Result<std::shared_ptr<PciTransport>> create(const Wiring& wiring);
  ~PciTransport() override;

  Result<void> attach(const pci::Attachment& attachment) override;
  /// Resets the device as well; it does not start again.
  void detach() override;
  void read_config(std::uint16_t offset, std::span<std::byte> data) override;
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override;
  void retry_bars() override { endpoint_.retry_bars(); }

 private:
  explicit PciTransport(const Wiring& wiring);
  Result<void> set_up(const Wiring& wiring);
  Result<void> add_core(const Wiring& wiring);
  Result<void> add_msix(const Wiring& wiring);
  Result<void> add_bars(const Wiring& wiring);
  Result<void> add_capabilities();

  void read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) override;
  void write_bar(std::uint8_t bar, std::uint64_t offset, std::span<const std::byte> data) override;
  void bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) override;
  void before_config_read(pci::ConfigSpace& config, std::uint16_t offset,
                          std::size_t bytes) override;
  void after_config_write(pci::ConfigSpace& config, std::uint16_t offset,
                          std::size_t bytes) override;

  void read_registers(std::uint64_t offset, std::span<std::byte> data) VMM_EXCLUDES(mutex_);
  void write_registers(std::uint64_t offset, std::span<const std::byte> data) VMM_EXCLUDES(mutex_);
  void forget_interrupts();
  void move_doorbells(std::optional<GuestAddress> registers);
  void place_shared_memory(std::optional<GuestAddress> address);

  void queue_interrupt(std::uint16_t queue) override;
  void config_interrupt() override;
  [[nodiscard]] int queue_interrupt_fd(std::uint16_t queue) override;
  [[nodiscard]] bool has_msix() const { return msix_ != nullptr && msix_->enabled(); }
  void set_isr(std::uint8_t bits);
  [[nodiscard]] std::uint8_t take_isr();
  void set_bus_master(bool may) VMM_EXCLUDES(mutex_);
  void set_msix_control(std::uint16_t control) VMM_EXCLUDES(mutex_);
  void update_pin();

  const std::shared_ptr<virtio_device::VirtioDevice> device_;
  vm_device::Doorbells& doorbells_;
  std::vector<vm_device::Doorbell> installed_;  // in the endpoint's lock
  std::vector<int> kick_fds_;                   // constant
  std::uint16_t msix_capability_ = 0;           // offsets in configuration space; 0: none
  std::uint16_t window_capability_ = 0;
  std::unique_ptr<pci::Msix> msix_;  // constant

  Mutex mutex_;  // after the endpoint's
  std::unique_ptr<virtio_device::TransportCore> core_ VMM_GUARDED_BY(mutex_);
  std::unique_ptr<detail::CommonConfig> common_;  // the vectors are atomic, the rest in mutex_
  bool detached_ VMM_GUARDED_BY(mutex_) = false;
  bool bus_master_ VMM_GUARDED_BY(mutex_) = false;  // of the command register

  Mutex isr_mutex_;  // after mutex_ and the core's
  std::uint8_t isr_ VMM_GUARDED_BY(isr_mutex_) = 0;

  pci::Endpoint endpoint_;
};

}  // namespace vmm::virtio_pci
