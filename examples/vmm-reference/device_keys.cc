// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_keys.h"

#include <string>
#include <utility>

namespace vmm::reference {
Outcome<DeviceConfig> parse_device(const OptionValue& value) {
  DeviceConfig device;
  device.id = value.text("id").value_or("");
  if (device.id.size() > DeviceConfig::kMostIdBytes) {
    return fail(
        value.error("id", "longer than " + std::to_string(DeviceConfig::kMostIdBytes) + " bytes"));
  }
  if (device.id.starts_with("__")) {
    return fail(value.error("id", "ids that start with __ are the VMM's own"));
  }
  VMM_TRY(const std::uint64_t segment,
          value.integer("pci_segment", 0, 0, PciSegmentConfig::kMost - 1));
  device.pci_segment = static_cast<std::uint16_t>(segment);
  if (value.text("pci_device_id")) {
    VMM_TRY(const std::uint64_t slot, value.integer("pci_device_id", 0, 1, 31));
    device.pci_device = static_cast<std::uint8_t>(slot);
  }
  VMM_TRY(device.iommu, value.toggle("iommu", false));
  VMM_TRY(device.packed, value.toggle("packed", true));
  VMM_TRY(device.event_idx, value.toggle("event_idx", true));
  return device;
}

Outcome<std::uint16_t> parse_queue_size(const OptionValue& value, std::uint16_t otherwise) {
  VMM_TRY(const std::uint64_t size, value.integer("queue_size", otherwise, 2, 32768));
  if ((size & (size - 1)) != 0) return fail(value.error("queue_size", "not a power of two"));
  return static_cast<std::uint16_t>(size);
}

Outcome<std::string> required(const OptionValue& value, std::string_view key) {
  auto text = value.text(key);
  if (!text) return fail(value.error(key, "required"));
  return *std::move(text);
}

}  // namespace vmm::reference
