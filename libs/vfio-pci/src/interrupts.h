// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/vfio/device.h"
#include "vmm/vfio/irq_events.h"
#include "vmm/vfio_pci/host.h"

namespace vmm::vfio_pci::detail {

/// Which kind of interrupts a device sends, and where to. The kernel allows one kind at a time.
///
/// Threads: one at a time.
class Interrupts {
 public:
  /// Borrows the device, which outlives this object.
  explicit Interrupts(const vfio::Device& device) : device_(device) {}
  ~Interrupts() { off(); }
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  /// What to use the pin with, while neither MSI nor MSI-X is on. Errors: those of eventfd(2).
  Result<void> set_pin(PinRouter& router);
  /// Where the pin is; it is connected by the next use_pin().
  void place_pin(const PinWiring& wiring) { pin_ = wiring; }

  /// From now on the device signals these descriptors, and nothing else. What the kernel refuses
  /// is logged: the guest misses interrupts.
  void use_msix(std::span<const std::int32_t> fds) { use(vfio::PciIrq::kMsix, fds); }
  void use_msi(std::span<const std::int32_t> fds) { use(vfio::PciIrq::kMsi, fds); }
  /// The pin, or nothing for a device without one.
  void use_pin();
  void off();

 private:
  void use(vfio::PciIrq kind, std::span<const std::int32_t> fds);
  [[nodiscard]] bool is_on(vfio::PciIrq kind, std::size_t count) const {
    return kind_ == kind && count_ == count;
  }
  Result<void> connect_pin();

  const vfio::Device& device_;
  std::optional<vfio::PciIrq> kind_;  // what is on
  std::size_t count_ = 0;

  PinRouter* router_ = nullptr;
  std::optional<vfio::IrqEvents> events_;
  std::optional<PinWiring> pin_;
  std::shared_ptr<const void> connected_;
};

}  // namespace vmm::vfio_pci::detail
