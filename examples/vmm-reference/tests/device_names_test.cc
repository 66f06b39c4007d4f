// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_names.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>

namespace vmm::reference {
namespace {

TEST_CASE("devices without an id are counted, taken names passed over", "[device-names]") {
  VmConfig vm;
  vm.disks.resize(3);
  vm.disks[1].device.id = "mine";
  vm.disks[2].device.id = "_net1";
  vm.nets.resize(2);
  vm.vsock.emplace();
  vm.host_devices.resize(1);
  name_devices(vm);
  CHECK(vm.disks[0].device.id == "_disk0");
  CHECK(vm.disks[1].device.id == "mine");
  CHECK(vm.nets[0].device.id == "_net2");
  CHECK(vm.nets[1].device.id == "_net3");
  CHECK(vm.vsock->device.id == "_vsock4");
  CHECK(vm.host_devices[0].device.id == "_vfio5");
  const VmConfig before = vm;
  name_devices(vm);
  CHECK(vm.nets[1].device.id == before.nets[1].device.id);
  vm.nets.resize(3);
  vm.disks.clear();
  name_devices(vm);
  CHECK(vm.nets[2].device.id == "_net6");  // the number goes on, whatever has gone
}

TEST_CASE("a network device without an address gets one, for good", "[device-names]") {
  constexpr std::array<std::uint8_t, 6> kOwn{2, 0, 0, 0, 0, 9};
  VmConfig vm;
  vm.nets.resize(3);
  vm.nets[1].mac = kOwn;
  REQUIRE(give_macs(vm));
  CHECK(vm.nets[1].mac == kOwn);
  REQUIRE((vm.nets[0].mac && vm.nets[2].mac));
  CHECK(((*vm.nets[0].mac)[0] & 3) == 2);  // local, of one station
  CHECK(vm.nets[0].mac != vm.nets[2].mac);
  const auto before = vm.nets[0].mac;
  REQUIRE(give_macs(vm));
  CHECK(vm.nets[0].mac == before);
}

}  // namespace
}  // namespace vmm::reference
