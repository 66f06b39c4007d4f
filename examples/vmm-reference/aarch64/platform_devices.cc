// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "platform_devices.h"

#include <cerrno>
#include <utility>

#include "vmm/arch/aarch64/layout.h"
#include "vmm/base/log.h"
#include "vmm/vfio/iommu_group.h"
#include "vmm/vfio_platform/host_node.h"

namespace vmm::reference::aarch64 {
namespace {

namespace arm = arch::aarch64;

// Page tables of guests and of the host have pages of this size at most.
constexpr std::uint64_t kStep = 0x1'0000;

/// Names who keeps the group from being whole.
Outcome<void> check_group(const std::string& option, const std::string& path) {
  VMM_STEP(option, const auto members, vfio::group_members(vfio::host_kernel(), path));
  for (const vfio::GroupMember& member : members) {
    if (member.is_held()) continue;
    const std::string holder =
        member.driver.empty() ? "has no driver" : "has the driver " + member.driver;
    return fail(runtime(option + ": " + member.name + " of its IOMMU group " + holder +
                        "; VFIO needs all of the group"));
  }
  return {};
}

template <class List, class ToText>
std::string join(const List& list, ToText to_text) {
  std::string text;
  for (const auto& entry : list) text += (text.empty() ? "" : ", ") + to_text(entry);
  return text;
}

}  // namespace

Outcome<std::unique_ptr<PlatformDevices>> PlatformDevices::create(const Parts& parts) {
  std::unique_ptr<PlatformDevices> devices(new PlatformDevices(parts));
  for (const HostDeviceConfig& config : parts.host.platform()) VMM_TRY_DO(devices->add(config));
  return devices;
}

Outcome<void> PlatformDevices::add(const HostDeviceConfig& config) {
  auto device = std::make_unique<Device>();
  device->option = "--device: path=" + config.path;
  device->label = "host" + std::to_string(devices_.size());
  VMM_TRY_DO(check_group(device->option, config.path));
  VMM_STEP(device->option, auto held,
           vfio_platform::open(vfio::host_kernel(), parts_.host.space(), config.path));
  VMM_STEP(device->option, device->device,
           vfio_platform::PlatformDevice::create({.device = std::move(held),
                                                  .mapper = &parts_.host.mapper(),
                                                  .lines = &parts_.lines,
                                                  .trapped_regions = config.trapped_bars}));
  VMM_TRY_DO(plan(config, *device));
  VMM_TRY_DO(place(*device));
  device->node = vfio_platform::node_name(device->plan, device->place);
  nodes_.push_back({.name = device->node,
                    .label = device->label,
                    .fill = [entry = device.get()](fdt::Node& node) {
                      vfio_platform::fill_node(node, entry->plan, entry->place);
                    }});
  devices_.push_back(std::move(device));
  return {};
}

// A host without a device tree, and its devices without a node: the overlay says what they are.
Outcome<void> PlatformDevices::plan(const HostDeviceConfig& config, Device& device) const {
  vfio_platform::HostNode node{.name = "device", .properties = {}, .children = {}};
  auto read = vfio_platform::read_host_node(config.path + "/of_node");
  if (read) {
    node = std::move(*read);
  } else if (!read.error().is_os(ENOENT)) {
    return fail(runtime(device.option + ": of_node", read.error()));
  }
  device.plan = vfio_platform::plan_node(
      node, {.registers = device.device->regions(), .interrupts = device.device->interrupts()});
  if (!device.plan.unused.empty()) {
    VMM_LOG(kWarn, "%s: not in the guest's device tree: %s", device.option.c_str(),
            join(device.plan.unused, [](const std::string& name) { return name; }).c_str());
  }
  return {};
}

Outcome<void> PlatformDevices::place(Device& device) {
  std::vector<GuestAddress> bases;
  for (std::uint32_t i = 0; i < device.device->regions(); ++i) {
    const std::uint64_t bytes = device.device->region_bytes(i);
    const auto base = next_.align_up(kStep);
    const auto end = base ? base->checked_add(bytes) : std::nullopt;
    if (!end || *end > arm::kPlatformWindow.end()) {
      return fail(runtime(device.option + ": there is no room for its registers"));
    }
    bases.push_back(*base);
    device.place.registers.push_back({*base, bytes});
    next_ = *end;
  }
  std::vector<std::uint32_t> lines;
  for (std::uint32_t i = 0; i < device.device->interrupts(); ++i) {
    if (next_spi_ >= arm::kSpiCount - arm::kFirstSpi) {
      return fail(runtime(device.option + ": there are no interrupts left"));
    }
    const auto cells = arm::spi_cells(next_spi_, device.device->is_level(i));
    device.place.interrupt_cells.insert(device.place.interrupt_cells.end(), cells.begin(),
                                        cells.end());
    lines.push_back(next_spi_++);
  }
  VMM_STEP_DO(device.option, device.device->attach(parts_.bus, bases, lines));
  return {};
}

Outcome<void> PlatformDevices::check(const fdt::FdtView& tree) const {
  for (const auto& device : devices_) {
    const auto unmet = vfio_platform::unmet_needs(tree, "/" + device->node, device->plan);
    if (unmet.empty()) continue;
    return fail(runtime(
        device->option + ": the host's device tree does not say for a guest: " +
        join(unmet, [](const vfio_platform::Need& need) { return to_string(need); }) +
        "; give them to the node " + device->label + " (/" + device->node + ") by --dtb-overlay"));
  }
  return {};
}

}  // namespace vmm::reference::aarch64
