// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_names.h"

#include <catch2/catch.hpp>

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
}

}  // namespace
}  // namespace vmm::reference
