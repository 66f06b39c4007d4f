// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

namespace vmm::virtio_iommu {

/// How the driver numbers endpoints, where that is not how they were added, and may change: a PCI
/// function behind a bridge has the number of a bus that the guest chose.
///
/// Threads: any.
class EndpointNumbers {
 public:
  virtual ~EndpointNumbers() = default;
  EndpointNumbers(const EndpointNumbers&) = delete;
  EndpointNumbers& operator=(const EndpointNumbers&) = delete;

  /// What the driver's number was added as; nullopt: that is nobody's.
  [[nodiscard]] virtual std::optional<std::uint32_t> added_as(std::uint32_t number) const = 0;
  /// The driver's number, for reports of faults, of what was added so.
  [[nodiscard]] virtual std::uint32_t number_of(std::uint32_t added) const = 0;

 protected:
  EndpointNumbers() = default;
};

}  // namespace vmm::virtio_iommu
