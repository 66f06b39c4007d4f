// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "bus_numbers.h"

#include <algorithm>

#include "vmm/virtio_iommu/iommu.h"

namespace vmm::reference {
namespace {

constexpr std::uint32_t kBusMask = 0xff00;

}  // namespace

std::uint32_t BusNumbers::endpoint_at(const pci::FunctionAddress& address) {
  return virtio_iommu::pci_endpoint(address.segment, 0, address.devfn());
}

std::uint32_t BusNumbers::number_behind(const Port& port) {
  const auto segment = static_cast<std::uint16_t>(port.added >> 16);
  return virtio_iommu::pci_endpoint(segment, port.port->bus(), 0);
}

// A port is no endpoint itself.
std::optional<std::uint32_t> BusNumbers::added_as(std::uint32_t number) const {
  if ((number & kBusMask) == 0) {
    const bool is_port = std::ranges::count(ports_, number, &Port::added) != 0;
    return is_port ? std::nullopt : std::optional(number);
  }
  const auto found = std::ranges::find(ports_, number, &number_behind);
  return found == ports_.end() ? std::nullopt : std::optional(found->added);
}

std::uint32_t BusNumbers::number_of(std::uint32_t added) const {
  const auto found = std::ranges::find(ports_, added, &Port::added);
  return found == ports_.end() ? added : number_behind(*found);
}

}  // namespace vmm::reference
