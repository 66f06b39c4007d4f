// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// HostFunction's set-up: what it makes of a device's registers and regions.

#include <algorithm>
#include <bit>

#include "bar_parts.h"
#include "config_layout.h"
#include "interrupts.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/pci/registers.h"
#include "vmm/sys_util/page_size.h"
#include "vmm/vfio_pci/host_function.h"

namespace vmm::vfio_pci {

using detail::PartKind;
using pci::ConfigSpace;
using pci::PciError;

namespace {

constexpr std::uint32_t kIoBits = 0x1;
constexpr std::uint32_t kMemoryTypeBits = 0x6;
constexpr std::uint32_t kMemory64Bits = 0x4;
constexpr std::uint32_t kPrefetchable = 0x8;
constexpr std::uint32_t kBarOfPlace = 0x7;  // of the registers that say where table and PBA are
constexpr std::uint16_t kCountMask = 0x7ff;

pci::Msix::Place place_at(std::span<const std::byte> config, std::size_t at) {
  const auto value = load_le<std::uint32_t>(config.data() + at);
  return {.bar = static_cast<std::uint8_t>(value & kBarOfPlace), .offset = value & ~kBarOfPlace};
}

bool is_inside(const vfio::Device& device, const pci::Msix::Place& place, std::uint64_t bytes) {
  return place.bar < pci::kBarCount &&
         fits(std::uint64_t{place.offset}, bytes, device.region(place.bar).bytes);
}

}  // namespace

Result<void> HostFunction::set_up(std::span<const std::byte> config, const ConfigPlan& plan) {
  VMM_TRY_DO(set_device_command(0));
  if (const auto msi = plan.find(CapabilityUse::kMsi)) VMM_TRY_DO(add_msi(*msi, config));
  if (const auto msix = plan.find(CapabilityUse::kMsix)) VMM_TRY_DO(add_msix(*msix, config));
  add_quirks();
  VMM_TRY_DO(add_bars(config));
  VMM_TRY_DO(add_rom());
  hear(vfio::PciIrq::kRequest, wanted_fd_);
  hear(vfio::PciIrq::kError, error_fd_);
  if (pins_ != nullptr) VMM_TRY_DO(interrupts_->set_pin(*pins_));
  layout_ = std::make_unique<detail::ConfigLayout>(plan, device_->info().resettable);
  endpoint_.with_config([&](ConfigSpace& space) {
    layout_->lay_out(space, config, {.msi = msi_ != nullptr, .msix = msix_ != nullptr});
    if (msi_ != nullptr) msi_->lay_out(space, plan.find(CapabilityUse::kMsi)->at);
    if (msix_ != nullptr) {
      const auto body = static_cast<std::uint16_t>(layout_->msix_at() + pci::Msix::kControl);
      std::ranges::copy(msix_->capability(msix_places_),
                        space.bytes(body, pci::Msix::kCapabilityBytes).begin());
      space.set_writable(body, load_le<std::uint16_t>(pci::Msix::capability_mask().data()));
    }
    for (const auto& quirk : quirks_) {
      for (const ConfigArea& area : quirk->passed()) layout_->pass(space, area);
    }
  });
  return {};
}

Result<void> HostFunction::add_msi(const PlannedCapability& capability,
                                   std::span<const std::byte> config) {
  const std::uint32_t there = device_->irq(vfio::PciIrq::kMsi).count;
  if (vectors_ == nullptr || there == 0) return {};
  const auto control = load_le<std::uint16_t>(config.data() + capability.at + 2);
  const unsigned asked = 1u << (control >> 1 & 7);
  const std::uint32_t most = std::min({asked, there, static_cast<unsigned>(pci::Msi::kMaxVectors)});
  const auto count = static_cast<std::uint8_t>(std::bit_floor(most));
  VMM_TRY(auto vectors, vectors_->create_vectors(count));
  VMM_TRY(msi_,
          pci::Msi::create(std::move(vectors), count,
                           {.wide = (control & 0x80) != 0, .maskable = (control & 0x100) != 0}));
  fds_.resize(std::max<std::size_t>(fds_.size(), count), -1);
  return {};
}

// The guest sees table and pending bits where the device has them, even when it cannot use them.
Result<void> HostFunction::add_msix(const PlannedCapability& capability,
                                    std::span<const std::byte> config) {
  const auto control = load_le<std::uint16_t>(config.data() + capability.at + pci::Msix::kControl);
  const unsigned entries = (control & kCountMask) + 1u;
  msix_places_ = {.table = place_at(config, capability.at + 4u),
                  .pending = place_at(config, capability.at + 8u)};
  const std::uint64_t table_bytes = entries * pci::Msix::kEntryBytes;
  const std::uint64_t pending_bytes = (entries + 63) / 64 * 8;
  if (!is_inside(*device_, msix_places_.table, table_bytes) ||
      !is_inside(*device_, msix_places_.pending, pending_bytes)) {
    return fail(PciError::kBadCapability);
  }
  parts_->add({.kind = PartKind::kTable,
               .area = {msix_places_.table.bar, msix_places_.table.offset, table_bytes}});
  parts_->add({.kind = PartKind::kPending,
               .area = {msix_places_.pending.bar, msix_places_.pending.offset, pending_bytes}});
  const std::uint32_t there = device_->irq(vfio::PciIrq::kMsix).count;
  if (vectors_ == nullptr || there == 0) return {};
  const auto count = static_cast<std::uint16_t>(std::min<std::uint32_t>(entries, there));
  VMM_TRY(auto vectors, vectors_->create_vectors(count));
  VMM_TRY(msix_, pci::Msix::create(std::move(vectors), count));
  fds_.resize(std::max<std::size_t>(fds_.size(), count), -1);
  return {};
}

void HostFunction::add_quirks() {
  for (const auto& quirk : quirks_) {
    for (const BarArea& area : quirk->trapped()) {
      if (area.bar >= pci::kBarCount) continue;
      if (!fits(area.offset, area.bytes, device_->region(area.bar).bytes)) continue;
      parts_->add({.kind = PartKind::kQuirk, .area = area, .quirk = quirk.get()});
    }
  }
}

// Not all devices have these; one that nobody hears works all the same.
void HostFunction::hear(vfio::PciIrq kind, int fd) const {
  if (fd < 0 || device_->irq(kind).count == 0) return;
  const auto set = device_->set_irqs(static_cast<std::uint32_t>(kind), 0, std::span(&fd, 1));
  if (set) return;
  VMM_LOG(kWarn, "%s of a device of the host are not heard: %s",
          kind == vfio::PciIrq::kRequest ? "requests" : "errors", to_string(set.error()).c_str());
}

Result<void> HostFunction::add_bars(std::span<const std::byte> config) {
  for (std::uint8_t index = 0; index < pci::kBarCount; ++index) {
    const auto value =
        load_le<std::uint32_t>(config.data() + pci::kBar0 + index * sizeof(std::uint32_t));
    const std::uint64_t bytes = device_->region(index).bytes;
    if (bytes == 0) continue;
    pci::Bar bar{.index = index, .size = bytes};
    if ((value & kIoBits) != 0) {
      if (!io_ports_) continue;
      bar.kind = pci::BarKind::kIo;
    } else {
      bar.prefetchable = (value & kPrefetchable) != 0;
      if ((value & kMemoryTypeBits) == kMemory64Bits) bar.kind = pci::BarKind::kMemory64;
    }
    VMM_TRY_DO(endpoint_.add_bar(bar));
    if (bar.kind != pci::BarKind::kIo) VMM_TRY_DO(map_areas(index));
    if (bar.kind == pci::BarKind::kMemory64) ++index;
  }
  return {};
}

Result<void> HostFunction::map_areas(std::uint8_t bar) {
  if (mapper_ == nullptr || (trapped_bars_ >> bar & 1) != 0) return {};
  const auto areas =
      parts_->without_parts(bar, device_->region(bar).mappable, sys_util::page_size());
  VMM_TRY(memory_[bar], vfio::RegionMemory::map(*device_, bar, areas));
  return {};
}

// One of an odd size, or that the kernel does not let us read, is no loss.
Result<void> HostFunction::add_rom() {
  const vfio::RegionInfo& region = device_->region(vfio::kRomRegion);
  constexpr std::uint64_t kLeast = 2048;
  constexpr std::uint64_t kMost = 16 << 20;
  const bool usable = region.readable && is_power_of_two(region.bytes) && region.bytes >= kLeast &&
                      region.bytes <= kMost;
  if (!usable) return {};
  VMM_TRY_DO(endpoint_.add_bar(
      {.index = pci::kRomIndex, .kind = pci::BarKind::kRom, .size = region.bytes}));
  return {};
}

}  // namespace vmm::vfio_pci
