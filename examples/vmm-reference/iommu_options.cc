// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "iommu_options.h"

#include <algorithm>
#include <string>

namespace vmm::reference {
namespace {

/// Calls f(option, device) for all devices with a place on a PCI segment, until one fails.
template <class F>
Outcome<void> for_each_device(const VmConfig& vm, F&& f) {
  for (const DiskConfig& disk : vm.disks) VMM_TRY_DO(f("--disk", disk.device));
  for (const NetConfig& net : vm.nets) VMM_TRY_DO(f("--net", net.device));
  for (const auto& generic : vm.generics) VMM_TRY_DO(f("--generic-vhost-user", generic.device));
  for (const FsConfig& fs : vm.file_systems) VMM_TRY_DO(f("--fs", fs.device));
  for (const PmemConfig& pmem : vm.pmems) VMM_TRY_DO(f("--pmem", pmem.device));
  for (const HostDeviceConfig& host : vm.host_devices) VMM_TRY_DO(f("--device", host.device));
  for (const UserDeviceConfig& user : vm.user_devices) VMM_TRY_DO(f("--user-device", user.device));
  VMM_TRY_DO(f("--rng", vm.rng.device));
  if (vm.vsock) VMM_TRY_DO(f("--vsock", vm.vsock->device));
  if (vm.balloon) VMM_TRY_DO(f("--balloon", vm.balloon->device));
  if (vm.rtc) VMM_TRY_DO(f("--rtc", *vm.rtc));
  return f("--console", vm.console_device);
}

Failure elsewhere(const char* option, const char* who) {
  return usage(std::string(option) + ": iommu: not for a device that " + who +
               ", which knows guest memory by its own addresses alone");
}

// The IOMMU's tables are the VMM's: who serves queues elsewhere would have to be told of them.
Outcome<void> check_servers(const VmConfig& vm) {
  for (const DiskConfig& disk : vm.disks) {
    if (!disk.device.iommu) continue;
    if (!disk.vhost_socket.empty()) return fail(elsewhere("--disk", "another process serves"));
    if (disk.pin_memory) {
      return fail(
          usage("--disk: pin_memory: not together with iommu, as what is pinned would be "
                "reached past it"));
    }
  }
  for (const NetConfig& net : vm.nets) {
    if (!net.device.iommu) continue;
    if (!net.vhost_socket.empty()) return fail(elsewhere("--net", "another process serves"));
    if (net.vhost) return fail(elsewhere("--net", "the kernel serves"));
  }
  if (vm.vsock && vm.vsock->device.iommu && vm.vsock->vhost) {
    return fail(elsewhere("--vsock", "the kernel serves"));
  }
  return {};
}

}  // namespace

bool has_iommu(const VmConfig& vm) {
  if (vm.iommu || !vm.iommu_segments.empty()) return true;
  bool found = false;
  (void)for_each_device(vm, [&](const char*, const DeviceConfig& device) -> Outcome<void> {
    found = found || device.iommu;
    return {};
  });
  return found;
}

Outcome<void> parse_iommu_platform(const OptionValue& value, VmConfig& vm) {
  VMM_TRY(const std::uint64_t bits, value.integer("iommu_address_width", 64, 32, 64));
  vm.iommu_address_bits = static_cast<std::uint8_t>(bits);
  const auto text = value.text("iommu_segments");
  if (!text) return {};
  const auto numbers = parse_integer_list(*text, PciSegmentConfig::kMost);
  if (!numbers) {
    return fail(value.error("iommu_segments", "\"" + *text + "\" is not a list of segments"));
  }
  for (const std::uint64_t number : *numbers) {
    if (number == 0) {
      return fail(value.error("iommu_segments", "segment 0 has the IOMMU itself"));
    }
    if (number >= vm.pci_segments.size()) {
      return fail(value.error("iommu_segments", "there is no segment " + std::to_string(number)));
    }
    vm.iommu_segments.push_back(static_cast<std::uint16_t>(number));
  }
  return {};
}

Outcome<void> check_iommu(const VmConfig& vm) {
  if (!has_iommu(vm)) return {};
  if (vm.transport != Transport::kPci) return fail(usage("iommu needs --transport pci"));
  VMM_TRY_DO(for_each_device(
      vm, [&](const std::string& option, const DeviceConfig& device) -> Outcome<void> {
        const bool needed = std::ranges::count(vm.iommu_segments, device.pci_segment) != 0;
        if (!needed || device.iommu) return {};
        return fail(usage(option + ": pci_segment=" + std::to_string(device.pci_segment) +
                          ": all devices of an IOMMU segment have iommu=on"));
      }));
  return check_servers(vm);
}

}  // namespace vmm::reference
