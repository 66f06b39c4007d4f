// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_names.h"

#include <array>
#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "vmm/sys_util/random.h"

namespace vmm::reference {
namespace {

// Calls `visit` with each device that has an id of its own, in the order of their numbers.
template <class Visit>
void for_each_device(VmConfig& vm, const Visit& visit) {
  for (DiskConfig& disk : vm.disks) visit(disk.device, "disk");
  for (NetConfig& net : vm.nets) visit(net.device, "net");
  for (GenericVhostUserConfig& generic : vm.generics) visit(generic.device, "generic_vhost_user");
  for (FsConfig& fs : vm.file_systems) visit(fs.device, "fs");
  for (PmemConfig& pmem : vm.pmems) visit(pmem.device, "pmem");
  if (vm.vsock) visit(vm.vsock->device, "vsock");
  for (HostDeviceConfig& host : vm.host_devices) visit(host.device, "vfio");
  for (UserDeviceConfig& user : vm.user_devices) visit(user.device, "vfio_user");
}

}  // namespace

void name_devices(VmConfig& vm) {
  std::set<std::string> taken = vm.leaving_ids;
  for_each_device(vm, [&](DeviceConfig& device, const char*) { taken.insert(device.id); });
  for_each_device(vm, [&](DeviceConfig& device, const char* kind) {
    while (device.id.empty()) {
      const std::string id = std::string("_") + kind + std::to_string(vm.next_number++);
      if (taken.insert(id).second) device.id = id;
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
