// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "bus_numbers.h"

#include <array>
#include <catch2/catch.hpp>

#include "vmm/base/endian.h"

namespace vmm::reference {
namespace {

struct Nobody final : pci::EjectListener {
  void ejected(pci::FunctionAddress) override {}
};

/// Two ports of segment 2, in slots 3 and 4.
struct Ports {
  Ports() {
    numbers.add({.segment = 2, .slot = 3, .function = 0}, first);
    numbers.add({.segment = 2, .slot = 4, .function = 0}, second);
  }
  static std::shared_ptr<pci::RootPort> make(Nobody& nobody) {
    return *pci::RootPort::create({.vector = nullptr, .listener = nobody});
  }
  static void set_bus(pci::RootPort& port, std::uint8_t bus) {
    constexpr std::uint16_t kSecondaryBus = 0x19;
    const std::array data{std::byte{bus}};
    port.write_config(kSecondaryBus, data);
  }
  Nobody nobody;
  std::shared_ptr<pci::RootPort> first = make(nobody);
  std::shared_ptr<pci::RootPort> second = make(nobody);
  BusNumbers numbers;
};

}  // namespace

TEST_CASE("functions on root buses are endpoints by their places", "[iommu]") {
  const Ports ports;
  CHECK(BusNumbers::endpoint_at({.segment = 2, .slot = 5, .function = 1}) == 0x2'0029);
  CHECK(ports.numbers.added_as(0x2'0029) == 0x2'0029u);
  CHECK(ports.numbers.number_of(0x2'0029) == 0x2'0029);
  CHECK_FALSE(ports.numbers.added_as(0x2'0018));  // a port
}

TEST_CASE("functions behind ports are endpoints by the guest's buses", "[iommu]") {
  Ports ports;
  CHECK_FALSE(ports.numbers.added_as(0x2'0700));
  Ports::set_bus(*ports.first, 7);
  CHECK(ports.numbers.added_as(0x2'0700) == 0x2'0018u);
  CHECK(ports.numbers.number_of(0x2'0018) == 0x2'0700);
  CHECK_FALSE(ports.numbers.added_as(0x2'0708));  // device 1 of that bus
  CHECK_FALSE(ports.numbers.added_as(0x1'0700));  // another segment
  Ports::set_bus(*ports.second, 7);
  CHECK(ports.numbers.added_as(0x2'0700) == 0x2'0018u);  // the first one
  Ports::set_bus(*ports.first, 9);
  CHECK(ports.numbers.added_as(0x2'0700) == 0x2'0020u);
  CHECK(ports.numbers.added_as(0x2'0900) == 0x2'0018u);
}

}  // namespace vmm::reference
