// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/pci/config_space.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio_pci/config_plan.h"
#include "vmm/vfio_pci/quirk.h"

namespace vmm::vfio_pci::detail {

/// Puts the capabilities of a plan into the guest's configuration space, and carries accesses to
/// the registers that are the device's own. MSI and MSI-X are others' to lay out.
class ConfigLayout {
 public:
  ConfigLayout(const ConfigPlan& plan, bool resettable);

  /// The lists, and the registers that are kept here. `device` is the device's space. A use for
  /// which `has` is false is left out.
  struct Has {
    bool msi = false;
    bool msix = false;
  };
  void lay_out(pci::ConfigSpace& config, std::span<const std::byte> device, Has has);
  /// Registers of no capability.
  void pass(pci::ConfigSpace& config, const ConfigArea& area);

  /// Before a read and after a write of the guest.
  void read(const vfio::Device& device, pci::ConfigSpace& config, const ConfigArea& access) const;
  void write(const vfio::Device& device, pci::ConfigSpace& config, const ConfigArea& access) const;
  /// Whether the write asked for a reset of the function; the request is taken out.
  [[nodiscard]] bool takes_reset(pci::ConfigSpace& config, const ConfigArea& access) const;
  /// The registers that are kept here, as after a reset.
  void reset(pci::ConfigSpace& config) const;

  /// Offset of MSI-X's capability; 0: none.
  [[nodiscard]] std::uint16_t msix_at() const { return msix_at_; }

 private:
  void link(pci::ConfigSpace& config, Has has) const;
  void link_extended(pci::ConfigSpace& config) const;
  void place(pci::ConfigSpace& config, std::span<const std::byte> device,
             const PlannedCapability& capability);
  void place_power(pci::ConfigSpace& config, std::span<const std::byte> device, std::uint16_t at);
  void place_express(pci::ConfigSpace& config, std::span<const std::byte> device,
                     const PlannedCapability& capability);

  const ConfigPlan plan_;
  const bool resettable_;
  std::vector<ConfigArea> passed_;
  std::uint16_t msix_at_ = 0;
  std::uint16_t power_at_ = 0;
  std::uint16_t express_at_ = 0;
  std::uint16_t flr_at_ = 0;
};

}  // namespace vmm::vfio_pci::detail
