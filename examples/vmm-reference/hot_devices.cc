// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "hot_devices.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "opener.h"
#include "vmm/base/log.h"

namespace vmm::reference {
namespace {

constexpr const char* kCannot =
    "devices come and go on PCI alone, which this machine does not have: --transport pci";

constexpr const char* kNoIommu =
    "iommu: the machine has no IOMMU, which comes with --platform iommu_segments, or with a device "
    "that is there from the start";

constexpr const char* kNoPort =
    "this device is not behind a port, from which guests without ACPI could give it back: it stays";

std::string bdf_of(const GuestPlace& place) {
  char text[sizeof("ffff:ff:1f.7")];
  (void)std::snprintf(text, sizeof(text), "%04x:%02x:%02x.%x", place.segment, place.bus,
                      place.slot & 0x1fu, place.function & 7u);
  return text;
}

DeviceRefusal failed(std::string message) {
  return {DeviceRefusal::Kind::kFailed, std::move(message)};
}

}  // namespace

void HotDevices::forget_machine() {
  hotplug_ = nullptr;
  for (const std::string& id : config_.leaving_ids) remove_opened(id);
  config_.leaving_ids.clear();
  leaving_.clear();
  unpin();
}

// What is leaving may be a device of the host.
void HotDevices::unpin() {
  if (config_.host_devices.empty() && config_.leaving_ids.empty()) devices_.set_pinned(false);
}

Result<AddedDevice, DeviceRefusal> HotDevices::add(HotDevice device) {
  if (hotplug_ == nullptr) return fail(failed(kCannot));
  if (common_of(device).iommu && !hotplug_->has_iommu()) return fail(failed(kNoIommu));
  VmConfig wanted = config_;
  VMM_TRY(const std::string id, opening([&] { return add_device(wanted, device); }));
  std::visit([&id](auto& one) { one.device.id = id; }, device);
  if (std::holds_alternative<HostDeviceConfig>(device)) devices_.set_pinned(true);
  const auto address = plug(device);
  if (!address) {
    unpin();
    return fail(failed(address.error().message));
  }
  config_ = std::move(wanted);
  return AddedDevice{.id = id, .bdf = bdf_of(hotplug_->seen_at(*address))};
}

template <class Config>
Outcome<pci::FunctionAddress> HotDevices::open_and_plug(const Config& config) {
  VMM_TRY_DO(opening([&] { return devices_.add(config); }));
  auto address = plug_newest(config);
  if (!address) remove_opened(config.device.id);
  return address;
}

Outcome<pci::FunctionAddress> HotDevices::plug(const HotDevice& device) {
  return std::visit(
      [this](const auto& config) {
        if constexpr (requires { devices_.add(config); }) {
          return open_and_plug(config);
        } else {
          return hotplug_->add(config);
        }
      },
      device);
}

Result<void, DeviceRefusal> HotDevices::remove(const std::string& id) {
  if (hotplug_ == nullptr) return fail(failed(kCannot));
  if (config_.leaving_ids.contains(id)) {
    (void)hotplug_->ask_for(id);
    return {};
  }
  VmConfig rest = config_;
  VMM_TRY_DO(remove_device(rest, id));
  if (!hotplug_->may_leave(id)) return fail(failed(kNoPort));
  config_ = std::move(rest);
  config_.leaving_ids.insert(id);
  if (const auto address = hotplug_->find(id)) {
    leaving_[id] = bdf_of(hotplug_->seen_at(*address));
  }
  if (!hotplug_->ask_for(id)) removed(id);
  return {};
}

void HotDevices::wanted(const std::string& id) {
  VMM_LOG(kWarn, "%s: the host wants the device back; the guest is asked for it", id.c_str());
  if (const auto asked = remove(id); !asked) {
    VMM_LOG(kError, "%s: the host waits for it until the VM ends: %s", id.c_str(),
            asked.error().message.c_str());
  }
}

void HotDevices::remove_opened(const std::string& id) {
  opening([&] { devices_.remove(id); });
}

void HotDevices::removed(const std::string& id) {
  remove_opened(id);
  config_.leaving_ids.erase(id);
  unpin();
  const auto place = leaving_.extract(id);
  monitor_.report(Event::kDeviceRemoved,
                  {{"id", id}, {"bdf", place.empty() ? std::string() : place.mapped()}});
}

std::vector<PlacedDevice> HotDevices::placed() const {
  std::vector<PlacedDevice> all;
  if (hotplug_ == nullptr) return all;
  for (const PciBoard::Placed& device : hotplug_->placed()) {
    const bool virtio = std::ranges::any_of(
        devices_.slots(), [&](const DeviceSlot& slot) { return slot.id == device.id; });
    all.push_back({.id = device.id, .bdf = bdf_of(device.place), .virtio = virtio});
  }
  return all;
}

void HotDevices::memory_changed(const vm_memory::GuestMemory& memory) {
  for (const DeviceSlot& slot : devices_.slots()) {
    if (slot.remote == nullptr) continue;
    if (const auto done = slot.remote->memory_changed(memory); !done) {
      VMM_LOG(kError, "%s: guest memory: %s", slot.id.c_str(), to_string(done.error()).c_str());
    }
  }
}

}  // namespace vmm::reference
