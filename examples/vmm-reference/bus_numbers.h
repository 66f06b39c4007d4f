// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/pci/function.h"
#include "vmm/pci/root_port.h"
#include "vmm/virtio_iommu/endpoint_numbers.h"

namespace vmm::reference {

/// Functions behind ports as endpoints of the guest's IOMMU: they are added by the port's place on
/// the root bus, which stays, and the driver knows them by the bus that the guest has numbered.
/// Of ports with the same bus the first one counts, as it does for configuration space.
///
/// Threads: add() before the guest runs; the rest any.
class BusNumbers final : public virtio_iommu::EndpointNumbers {
 public:
  void add(const pci::FunctionAddress& address, std::shared_ptr<const pci::RootPort> port) {
    ports_.push_back({.added = endpoint_at(address), .port = std::move(port)});
  }
  /// What a function in a slot of a root bus, or behind a port there, is added as.
  [[nodiscard]] static std::uint32_t endpoint_at(const pci::FunctionAddress& address);

  [[nodiscard]] std::optional<std::uint32_t> added_as(std::uint32_t number) const override;
  [[nodiscard]] std::uint32_t number_of(std::uint32_t added) const override;

 private:
  struct Port {
    std::uint32_t added = 0;
    std::shared_ptr<const pci::RootPort> port;
  };
  /// The function behind the port: device 0 of its bus.
  [[nodiscard]] static std::uint32_t number_behind(const Port& port);

  std::vector<Port> ports_;
};

}  // namespace vmm::reference
