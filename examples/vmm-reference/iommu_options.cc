// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "iommu_options.h"

#include <algorithm>
#include <string>

#include "config_devices.h"

namespace vmm::reference {
namespace {

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
  return vm.iommu || !vm.iommu_segments.empty() ||
         std::ranges::any_of(configured_devices(vm),
                             [](const ConfiguredDevice& device) { return device.config.iommu; });
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
  for (const ConfiguredDevice& device : configured_devices(vm)) {
    const std::uint16_t segment = device.config.pci_segment;
    if (device.config.iommu || std::ranges::count(vm.iommu_segments, segment) == 0) continue;
    return fail(usage(std::string(device.option) + ": pci_segment=" + std::to_string(segment) +
                      ": all devices of an IOMMU segment have iommu=on"));
  }
  return check_servers(vm);
}

}  // namespace vmm::reference
