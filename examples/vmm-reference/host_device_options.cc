// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_device_options.h"

#include <algorithm>

#include "device_keys.h"
#include "option_keys.h"

namespace vmm::reference {
namespace {

constexpr std::uint64_t kBars = 6;

Outcome<std::uint8_t> parse_bars(const OptionValue& value, const char* key) {
  std::uint8_t bars = 0;
  const auto text = value.text(key);
  if (!text) return bars;
  const auto numbers = parse_integer_list(*text, kBars);
  if (!numbers || std::ranges::any_of(*numbers, [](std::uint64_t bar) { return bar >= kBars; })) {
    return fail(value.error(key, "\"" + *text + "\" is not a list of BARs, 0 to 5"));
  }
  for (const std::uint64_t bar : *numbers) bars |= static_cast<std::uint8_t>(1u << bar);
  return bars;
}

}  // namespace

Outcome<void> parse_host_device(const std::string& text, VmConfig& vm) {
  constexpr const char* kTrapped = "x_exclude_mmap_bars";
  constexpr const char* kNoIommu = "x_unsafe_noiommu";
  HostDeviceConfig device;
  VMM_TRY(const OptionValue value, parse_value("--device", text));
  VMM_TRY(device.device, parse_device(value));
  VMM_TRY(device.path, required(value, "path"));
  VMM_TRY(device.trapped_bars, parse_bars(value, kTrapped));
  VMM_TRY(device.unsafe_noiommu, value.toggle(kNoIommu, false));
  vm.host_devices.push_back(std::move(device));
  return {};
}

Outcome<void> parse_user_device(const std::string& text, VmConfig& vm) {
  UserDeviceConfig device;
  VMM_TRY(const OptionValue value, parse_value("--user-device", text));
  VMM_TRY(device.device, parse_device(value));
  VMM_TRY(device.socket, required(value, "socket"));
  if (device.device.iommu) {
    return fail(value.error("iommu", "not for devices of other processes"));
  }
  vm.user_devices.push_back(std::move(device));
  return {};
}

Outcome<void> check_host_devices(const VmConfig& vm) {
  if (!vm.user_devices.empty() && vm.transport != Transport::kPci) {
    return fail(usage("--user-device needs --transport pci"));
  }
  return {};
}

}  // namespace vmm::reference
