// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_names.h"

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "config_devices.h"
#include "vmm/sys_util/random.h"

namespace vmm::reference {

void name_devices(VmConfig& vm) {
  std::set<std::string> taken = vm.leaving_ids;
  for_each_device(vm, [&](const auto& device, DeviceSort) { taken.insert(device.device.id); });
  for_each_device(vm, [&](auto& device, DeviceSort sort) {
    while (device.device.id.empty()) {
      const std::string id = std::string("_") + sort.stem + std::to_string(vm.next_number++);
      if (taken.insert(id).second) device.device.id = id;
    }
  });
}

Outcome<void> give_mac(NetConfig& net) {
  if (net.mac) return {};
  std::array<std::uint8_t, 6> mac{};
  VMM_STEP_DO("--net: mac", sys_util::fill_random(std::as_writable_bytes(std::span(mac))));
  mac[0] = static_cast<std::uint8_t>((mac[0] & 0xfc) | 2);
  net.mac = mac;
  return {};
}

Outcome<void> give_macs(VmConfig& vm) {
  for (NetConfig& net : vm.nets) VMM_TRY_DO(give_mac(net));
  return {};
}

}  // namespace vmm::reference
