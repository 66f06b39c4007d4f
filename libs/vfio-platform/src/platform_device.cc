// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/platform_device.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/vfio/iommu_group.h"
#include "vmm/vfio/vfio_error.h"

namespace vmm::vfio_platform {
namespace {

// Accesses that leave to this process: each becomes one of the kernel's.
class RegionAccess final : public vm_device::BusDevice {
 public:
  RegionAccess(const vfio::Device& device, std::uint32_t region)
      : device_(device), region_(region) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override {
    // What the device does not answer reads as on a bus without one.
    if (!device_.read(region_, offset, data)) std::ranges::fill(data, std::byte{0xff});
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    if (const auto done = device_.write(region_, offset, data); !done) {
      VMM_LOG_GUEST(kDebug, "region %u of a device of the host: %s", region_,
                    to_string(done.error()).c_str());
    }
  }

 private:
  const vfio::Device& device_;
  const std::uint32_t region_;
};

Error not_a_platform_device() { return Error::os(ENOTSUP, "pass a platform device through"); }

}  // namespace

std::string sysfs_path(std::string_view name_or_path) {
  if (name_or_path.find('/') != std::string_view::npos) return std::string(name_or_path);
  return "/sys/bus/platform/devices/" + std::string(name_or_path);
}

Result<std::unique_ptr<vfio::Device>> open(vfio::Kernel& kernel, vfio::AddressSpace& space,
                                           std::string_view name_or_path) {
  VMM_TRY(const std::string path, kernel.resolve(sysfs_path(name_or_path)));
  VMM_TRY(const auto members, vfio::group_members(kernel, path));
  if (!std::ranges::all_of(members, &vfio::GroupMember::is_held)) {
    return fail(vfio::VfioError::kNotViable);
  }
  VMM_TRY(auto device, space.attach(path));
  if (device->info().kind != vfio::DeviceKind::kPlatform) return fail(not_a_platform_device());
  return device;
}

Result<std::unique_ptr<PlatformDevice>> PlatformDevice::create(Wiring wiring) {
  const std::uint32_t trapped = wiring.trapped_regions;
  std::unique_ptr<PlatformDevice> device(new PlatformDevice(std::move(wiring)));
  VMM_TRY_DO(device->set_up(trapped));
  return device;
}

PlatformDevice::~PlatformDevice() { detach(); }

Result<void> PlatformDevice::set_up(std::uint32_t trapped_regions) {
  const vfio::DeviceInfo& info = device_->info();
  const bool fits = info.regions <= kMaxParts && info.interrupts <= kMaxParts;
  if (info.kind != vfio::DeviceKind::kPlatform || !fits) return fail(not_a_platform_device());
  if (info.resettable) VMM_TRY_DO(device_->reset());
  for (std::uint32_t i = 0; i < info.regions; ++i) {
    const vfio::RegionInfo& region = device_->region(i);
    if (region.bytes == 0) return fail(vfio::VfioError::kNoRegion);
    vfio::RegionMemory memory;
    if (mapper_ != nullptr && (trapped_regions >> i & 1) == 0) {
      VMM_TRY(memory, vfio::RegionMemory::map(*device_, i, region.mappable));
    }
    memory_.push_back(std::move(memory));
  }
  for (std::uint32_t i = 0; i < info.interrupts; ++i) {
    const vfio::IrqInfo& irq = device_->irq(i);
    if (irq.count == 0) return fail(vfio::VfioError::kNoInterrupt);
    if (!irq.eventfd) return fail(vfio::VfioError::kNoEventfd);
    VMM_TRY(auto events, vfio::IrqEvents::create(irq.automasked));
    interrupts_.push_back({.events = std::move(events), .connected = nullptr, .enabled = false});
  }
  return {};
}

Result<GuestPlace> PlatformDevice::attach(vm_device::MmioBus& bus, const Places& places) {
  GuestPlace place;
  std::vector<GuestAddress> bases;
  for (std::uint32_t i = 0; i < regions(); ++i) {
    VMM_TRY(const GuestAddress base, places.registers(region_bytes(i)));
    bases.push_back(base);
    place.registers.push_back({base, region_bytes(i)});
  }
  std::vector<std::uint32_t> lines;
  for (std::uint32_t i = 0; i < interrupts(); ++i) {
    VMM_TRY(const std::uint32_t line, places.line());
    lines.push_back(line);
    for (const std::uint32_t cell : places.cells(line, is_level(i))) {
      place.interrupt_cells.push_back(cell);
    }
  }
  VMM_TRY_DO(attach(bus, bases, lines));
  return place;
}

Result<void> PlatformDevice::attach(vm_device::MmioBus& bus, std::span<const GuestAddress> bases,
                                    std::span<const std::uint32_t> lines) {
  if (bus_ != nullptr) return fail(Error::os(EALREADY, "attach a platform device"));
  if (bases.size() != memory_.size() || lines.size() != interrupts_.size()) {
    return fail(Error::os(EINVAL, "attach a platform device"));
  }
  VMM_TRY_DO(add_to(bus, bases));
  auto connected = connect(lines);
  if (!connected) {
    detach();
    return connected;
  }
  show(bases);
  return {};
}

Result<void> PlatformDevice::add_to(vm_device::MmioBus& bus, std::span<const GuestAddress> bases) {
  std::vector<vm_device::BusRange<GuestAddress>> ranges;
  for (std::uint32_t i = 0; i < bases.size(); ++i) {
    ranges.push_back({.base = bases[i],
                      .size = device_->region(i).bytes,
                      .device = std::make_shared<RegionAccess>(*device_, i)});
  }
  VMM_TRY_DO(bus.add_all(std::move(ranges)));
  bus_ = &bus;
  bases_.assign(bases.begin(), bases.end());
  return {};
}

// The guest's side first, so that the device's first event has somewhere to go.
Result<void> PlatformDevice::connect(std::span<const std::uint32_t> lines) {
  if (lines_ == nullptr) return {};
  for (std::uint32_t i = 0; i < lines.size(); ++i) {
    Interrupt& interrupt = interrupts_[i];
    interrupt.events.clear();
    VMM_TRY(interrupt.connected, lines_->connect({.line = lines[i],
                                                  .trigger = interrupt.events.trigger_fd(),
                                                  .unmask = interrupt.events.unmask_fd()}));
    VMM_TRY_DO(interrupt.events.enable(*device_, i));
    interrupt.enabled = true;
  }
  return {};
}

void PlatformDevice::show(std::span<const GuestAddress> bases) {
  for (std::size_t i = 0; i < bases.size(); ++i) {
    if (memory_[i].areas() == 0) continue;
    if (const auto shown = memory_[i].show(*mapper_, bases[i]); !shown) {
      VMM_LOG(kWarn, "region %zu of a device of the host is slow: %s", i,
              to_string(shown.error()).c_str());
    }
  }
}

void PlatformDevice::detach() {
  for (std::uint32_t i = 0; i < interrupts_.size(); ++i) {
    Interrupt& interrupt = interrupts_[i];
    if (std::exchange(interrupt.enabled, false)) {
      if (const auto done = device_->disable_irqs(i); !done) {
        VMM_LOG(kWarn, "interrupt %u of a device of the host: %s", i,
                to_string(done.error()).c_str());
      }
    }
    interrupt.connected.reset();
  }
  for (vfio::RegionMemory& memory : memory_) memory.hide();
  for (const GuestAddress base : bases_) (void)bus_->remove(base);
  bases_.clear();
  bus_ = nullptr;
}

}  // namespace vmm::vfio_platform
