// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/result.h"

namespace vmm::vfio {

/// A device that a reset of another one hits as well.
struct ResetNeighbour {
  std::uint32_t id = 0;              ///< of its IOMMU group, or what iommufd calls it
  std::uint16_t segment = 0;         ///< PCI domain
  std::uint8_t bus = 0;              ///< PCI bus
  std::uint8_t device_function = 0;  ///< device << 3 | function
};

/// How a device is held: its group, or its tie to iommufd. Released when the last one lets go.
class Attachment {
 public:
  virtual ~Attachment() = default;
  /// The device's descriptor is about to be closed.
  virtual void closing(int /*device*/) const {}
  /// The descriptors that prove to the kernel that all of these are ours; none where it knows.
  /// Errors: kForeignDevice.
  virtual Result<std::vector<std::int32_t>> prove(std::span<const ResetNeighbour> hit,
                                                  std::uint32_t flags) const = 0;

 protected:
  Attachment() = default;
  /// @{
  /// For derived classes alone.
  Attachment(const Attachment&) = default;
  Attachment& operator=(const Attachment&) = default;
  /// @}
};

}  // namespace vmm::vfio
