// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The devices of a configuration, of whichever sort: what goes for all of them is written once.

#include <vector>

#include "config.h"

namespace vmm::reference {

/// What the devices of a sort are called.
struct DeviceSort {
  const char* option;  ///< "--disk"
  const char* stem;    ///< of ids that the VMM makes: "disk"
};

/// Calls visit(list, sort) for each sort of device that may come and go, in the order in which they
/// are numbered. A list is a vector, or an optional where there can be one device.
template <class Vm, class Visit>
void for_each_list(Vm& vm, Visit&& visit) {
  visit(vm.disks, DeviceSort{"--disk", "disk"});
  visit(vm.nets, DeviceSort{"--net", "net"});
  visit(vm.generics, DeviceSort{"--generic-vhost-user", "generic_vhost_user"});
  visit(vm.file_systems, DeviceSort{"--fs", "fs"});
  visit(vm.pmems, DeviceSort{"--pmem", "pmem"});
  visit(vm.vsock, DeviceSort{"--vsock", "vsock"});
  visit(vm.host_devices, DeviceSort{"--device", "vfio"});
  visit(vm.user_devices, DeviceSort{"--user-device", "vfio_user"});
}

/// Calls visit(device, sort) for each of these devices.
template <class Vm, class Visit>
void for_each_device(Vm& vm, Visit&& visit) {
  for_each_list(vm, [&visit](auto& list, DeviceSort sort) {
    if constexpr (requires { list.begin(); }) {
      for (auto& device : list) visit(device, sort);
    } else if (list) {
      visit(*list, sort);
    }
  });
}

/// A device that has a place on a PCI segment.
struct ConfiguredDevice {
  const DeviceConfig& config;
  const char* option;
};

/// These are all of them, and those that are there for good. Borrows from `vm`.
[[nodiscard]] inline std::vector<ConfiguredDevice> configured_devices(const VmConfig& vm) {
  std::vector<ConfiguredDevice> all;
  for_each_device(vm, [&all](const auto& device, DeviceSort sort) {
    all.push_back({device.device, sort.option});
  });
  all.push_back({vm.console_device, "--console"});
  all.push_back({vm.rng.device, "--rng"});
  if (vm.balloon) all.push_back({vm.balloon->device, "--balloon"});
  if (vm.rtc) all.push_back({*vm.rtc, "--rtc"});
  return all;
}

}  // namespace vmm::reference
