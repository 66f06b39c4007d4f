// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/vfio/device.h"

namespace vmm::vfio_pci {

/// Bytes of a BAR.
struct BarArea {
  std::uint8_t bar = 0;  ///< 0 to 5
  /// @{
  /// In the BAR.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  /// @}
};

/// Bytes of configuration space behind the header.
struct ConfigArea {
  /// @{
  /// In configuration space.
  std::uint16_t offset = 0;
  std::uint16_t bytes = 0;
  /// @}
};

/// What one kind of device needs beyond what its registers say of it: a copy of its configuration
/// space in a BAR, registers behind no capability, ...
///
/// Threads: BAR accesses from any, several at once.
class Quirk {
 public:
  virtual ~Quirk() = default;
  Quirk(const Quirk&) = delete;
  Quirk& operator=(const Quirk&) = delete;

  /// Parts of BARs that the guest must not reach by itself: asked for once. The pages with them
  /// are not mapped.
  [[nodiscard]] virtual std::vector<BarArea> trapped() const { return {}; }
  /// Registers of configuration space that are the device's own, and belong to no capability.
  [[nodiscard]] virtual std::vector<ConfigArea> passed() const { return {}; }

  /// @{
  /// An access that begins in a trapped area and does not leave it. False: the device has it.
  virtual bool read_bar(const vfio::Device& /*device*/, const BarArea& /*area*/,
                        std::span<std::byte> /*data*/) {
    return false;
  }
  virtual bool write_bar(const vfio::Device& /*device*/, const BarArea& /*area*/,
                         std::span<const std::byte> /*data*/) {
    return false;
  }
  /// @}

 protected:
  Quirk() = default;
};

}  // namespace vmm::vfio_pci
