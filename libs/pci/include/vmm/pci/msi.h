// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/pci/config_space.h"
#include "vmm/pci/msi_device_id.h"
#include "vmm/pci/pci_error.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::pci {

/// MSI, whose one message and masks are in configuration space: PCI 3.0, 6.8.1.
///
/// The guest enables 1, 2, 4, ... 32 vectors, which differ in the lowest bits of the data. Events
/// of a masked vector are pending and sent at the unmask, as those of Msix.
///
/// Threads: one at a time; Endpoint's lock is one. Events go to MsiVectors, from any thread.
class Msi {
 public:
  static constexpr std::uint8_t kMaxVectors = 32;  ///< of the capability's three bits

  /// Which registers the capability has.
  struct Form {
    bool wide = true;       ///< addresses of 64 bits
    bool maskable = false;  ///< a mask and a pending bit for each vector
  };
  /// The bytes of the capability, id and pointer among them.
  [[nodiscard]] static constexpr std::uint16_t bytes(Form form) {
    const int before_masks = form.wide ? 14 : 10;
    return static_cast<std::uint16_t>(form.maskable ? before_masks + 10 : before_masks);
  }

  /// `vectors` has `count` of them, a power of two of 32 at most. Errors: kBadVectors.
  static Result<std::unique_ptr<Msi>, PciError> create(
      std::unique_ptr<vm_device::MsiVectors> vectors, std::uint8_t count, Form form);

  /// Writes the capability's registers, behind id and pointer, at the capability's offset.
  /// Precondition: they lie inside the space.
  void lay_out(ConfigSpace& config, std::uint16_t at);
  /// Who writes the messages; before the guest runs.
  void set_device_id(MsiDeviceId device_id) { device_id_ = std::move(device_id); }

  /// The guest has written registers of the capability.
  void update(ConfigSpace& config);
  /// The guest is about to read them.
  void refresh(ConfigSpace& config) const;
  /// Off, nothing masked or pending.
  void reset(ConfigSpace& config);

  /// @{
  /// Where lay_out() put it, and what create() was given.
  [[nodiscard]] std::uint16_t at() const { return at_; }
  [[nodiscard]] Form form() const { return form_; }
  /// @}
  /// Vectors that the guest has enabled; 0: MSI is off.
  [[nodiscard]] std::uint8_t enabled() const { return enabled_; }
  /// As MsiVectors::trigger_fd().
  [[nodiscard]] int trigger_fd(std::uint8_t vector) const { return vectors_->trigger_fd(vector); }

 private:
  Msi(std::unique_ptr<vm_device::MsiVectors> vectors, std::uint8_t count, Form form)
      : vectors_(std::move(vectors)), count_(count), form_(form), routed_(count) {}

  [[nodiscard]] std::uint16_t data_at() const {
    return static_cast<std::uint16_t>(at_ + (form_.wide ? 12 : 8));
  }
  [[nodiscard]] std::uint16_t mask_at() const { return static_cast<std::uint16_t>(data_at() + 4); }
  [[nodiscard]] std::uint16_t pending_at() const {
    return static_cast<std::uint16_t>(data_at() + 8);
  }
  [[nodiscard]] std::optional<vm_device::MsiMessage> message(const ConfigSpace& config,
                                                             std::uint8_t vector) const;
  void route(std::uint8_t vector, std::optional<vm_device::MsiMessage> message);

  const std::unique_ptr<vm_device::MsiVectors> vectors_;
  const std::uint8_t count_;
  const Form form_;
  std::uint16_t at_ = 0;
  std::uint8_t enabled_ = 0;
  MsiDeviceId device_id_;
  std::vector<std::optional<vm_device::MsiMessage>> routed_;
};

}  // namespace vmm::pci
