// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_devices.h"

#include <algorithm>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/vfio/iommu_group.h"
#include "vmm/vfio_pci/host_function.h"
#include "vmm/virtio_iommu/dma_endpoint.h"

namespace vmm::reference {
namespace {

// KVM_DEV_VFIO_FILE and its attributes, which older kernels know as those of groups.
constexpr std::uint32_t kRegistryFile = 1;
constexpr std::uint64_t kAddFile = 1;
constexpr std::uint64_t kDeleteFile = 2;

// Without being told, iommufd is for hosts where each of the devices can be used with it.
vfio::Interface interface_for(const HostDevices::Parts& parts) {
  using vfio::Interface;
  if (parts.iommufd) return *parts.iommufd ? Interface::kIommufd : Interface::kGroups;
  for (const HostDeviceConfig& device : parts.devices) {
    const auto names = vfio::host_kernel().list(device.path + "/vfio-dev");
    if (!names || names->empty()) return Interface::kGroups;
  }
  return Interface::kBest;
}

std::string name_of(const HostDeviceConfig& config) { return "--device: path=" + config.path; }

Outcome<void> check_platform(const HostDeviceConfig& config, bool device_tree) {
  if (!device_tree) {
    return fail(runtime(name_of(config) +
                        ": a device of a board, which guests find in a device tree; on this "
                        "architecture they have none: PCI devices only"));
  }
  if (config.device.iommu) {
    return fail(usage(name_of(config) + ": iommu: not for a device of a board"));
  }
  if (config.device.pci_device || config.device.pci_segment != 0) {
    return fail(usage(name_of(config) + ": a device of a board has no place on a PCI bus"));
  }
  return {};
}

// Whoever has DMA and no IOMMU in front reaches the host's memory with the guest's addresses.
// Devices of boards may have none; of PCI devices all do.
Outcome<bool> without_iommu(const std::vector<HostDeviceConfig>& devices,
                            const std::vector<HostDeviceConfig>& pci) {
  const auto wants = [](const HostDeviceConfig& device) { return device.unsafe_noiommu; };
  if (std::ranges::none_of(devices, wants)) return false;
  if (!pci.empty()) {
    return fail(usage("--device: x_unsafe_noiommu: not for PCI devices, nor together with them"));
  }
  if (!std::ranges::all_of(devices, wants)) {
    return fail(usage("--device: x_unsafe_noiommu: for all devices of the host, or for none"));
  }
  return true;
}

}  // namespace

HostDevices::HostDevices(const Parts& parts, kvm_ioctls::Device registry)
    : interface_(interface_for(parts)),
      peer_to_peer_(parts.peer_to_peer),
      memory_bytes_(parts.memory_bytes),
      registry_(std::move(registry)),
      slots_(parts.mapped),
      pins_(parts.pins),
      loop_(parts.loop),
      on_wanted_(parts.on_wanted) {}

Outcome<std::unique_ptr<HostDevices>> HostDevices::create(const Parts& parts) {
  VMM_STEP("--device", kvm_ioctls::Device registry,
           parts.vm.create_device(kvm_ioctls::DeviceType::kVfio));
  std::unique_ptr<HostDevices> devices(new HostDevices(parts, std::move(registry)));
  VMM_TRY_DO(devices->sort(parts));
  VMM_TRY(devices->space_, devices->open_space());
  return devices;
}

Outcome<std::shared_ptr<vfio::AddressSpace>> HostDevices::open_space() {
  VMM_STEP("--device", auto space,
           vfio::AddressSpace::open(vfio::host_kernel(),
                                    {.interface = interface_,
                                     .on_attach = [this](int fd) { return announce(fd, true); },
                                     .on_detach = [this](int fd) { (void)announce(fd, false); },
                                     .dirty_tracking = false,
                                     .unsafe_noiommu = without_iommu_}));
  return space;
}

Outcome<void> HostDevices::sort(const Parts& parts) {
  for (const HostDeviceConfig& config : parts.devices) {
    VMM_STEP(name_of(config), const std::string bus,
             vfio::bus_of(vfio::host_kernel(), config.path));
    if (bus == "platform" || bus == "amba") {
      VMM_TRY_DO(check_platform(config, parts.device_tree));
      platform_.push_back(config);
      shares_space_ = true;
      continue;
    }
    if (!parts.pci) {
      return fail(usage(name_of(config) + ": PCI devices need --transport pci"));
    }
    pci_.push_back(config);
    if (!config.device.iommu) shares_space_ = true;
  }
  VMM_TRY(without_iommu_, without_iommu(parts.devices, pci_));
  return {};
}

Result<void> HostDevices::announce(int fd, bool there) const {
  std::int32_t number = fd;
  return registry_.set_attr({.group = kRegistryFile,
                             .attr = there ? kAddFile : kDeleteFile,
                             .data = &number,
                             .flags = 0});
}

Outcome<pci::FunctionAddress> HostDevices::add(const HostDeviceConfig& config, PciBoard& board) {
  auto opened = open(config, board);
  if (!opened) removed(config.device.id);
  return opened;
}

void HostDevices::has_failed(const std::string& id) {
  VMM_LOG(kError, "%s: the device has had an error; it stands still until the guest resets it",
          id.c_str());
  if (const auto function = held_[id].function.lock()) function->stop();
}

Outcome<pci::FunctionAddress> HostDevices::open(const HostDeviceConfig& config, PciBoard& board) {
  const std::string name = name_of(config);
  if (without_iommu_ || config.unsafe_noiommu) {
    return fail(
        usage(name + ": not together with x_unsafe_noiommu, which is for devices of boards"));
  }
  const std::string& id = config.device.id;
  Held& held = held_[id];
  VMM_TRY(held.alarms, DeviceAlarms::create(name, loop_,
                                            {.wanted = [this, id] { on_wanted_(id); },
                                             .failed = [this, id] { has_failed(id); }}));
  std::shared_ptr<vfio::AddressSpace> space = space_;
  const bool has_peers = peer_to_peer_ && !config.device.iommu;
  if (config.device.iommu) {
    VMM_TRY(space, open_space());
  }
  VMM_STEP(name, auto device, space->attach(config.path));
  VMM_STEP(name, auto function,
           vfio_pci::HostFunction::create({.device = std::move(device),
                                           .mapper = &slots_,
                                           .vectors = board.vectors(),
                                           .pins = pins_,
                                           .io_ports = false,
                                           .trapped_bars = config.trapped_bars,
                                           .quirks = {},
                                           .peers = has_peers ? space_ : nullptr,
                                           .wanted_fd = held.alarms->wanted_fd(),
                                           .error_fd = held.alarms->error_fd()}));
  held.function = function;
  std::shared_ptr<virtio_iommu::Endpoint> endpoint;
  if (config.device.iommu) {
    VMM_TRY(endpoint, endpoint_for(name, std::move(space), *board.iommu()));
  }
  return board.add(name, config.device,
                   {.function = std::move(function), .endpoint = std::move(endpoint)});
}

// A guest may map the same memory at several addresses, but not make the host's page tables grow
// without an end.
Outcome<std::shared_ptr<virtio_iommu::Endpoint>> HostDevices::endpoint_for(
    const std::string& name, std::shared_ptr<vfio::AddressSpace> space, const PciIommu& iommu) {
  constexpr std::uint64_t kAliases = 4;
  VMM_STEP(name, auto reserved,
           virtio_iommu::DmaEndpoint::reserved_by(*space, iommu.last_address()));
  const virtio_iommu::DmaEndpoint::Limits limits{.bytes = kAliases * memory_bytes_};
  return std::shared_ptr<virtio_iommu::Endpoint>(
      std::make_shared<virtio_iommu::DmaEndpoint>(std::move(space), std::move(reserved), limits));
}

Outcome<void> HostDevices::map(const vm_memory::GuestMemory& memory) {
  if (!shares_space_ || !mappings_.empty()) return {};
  const auto map = memory.snapshot();
  for (const auto& region : map->regions()) {
    // The kernel does not pin the memory of files for long.
    if (region->backing() == vm_memory::Backing::kFile) continue;
    VMM_STEP("--device: guest memory for DMA", auto mapping,
             space_->map({.iova = region->base().raw(),
                          .memory = region->host(),
                          .owner = region,
                          .device_writes = true}));
    mappings_.push_back(std::move(mapping));
  }
  return {};
}

}  // namespace vmm::reference
