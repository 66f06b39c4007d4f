// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "config_layout.h"

#include <algorithm>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/base/log.h"
#include "vmm/pci/endpoint.h"
#include "vmm/pci/registers.h"

namespace vmm::vfio_pci::detail {
namespace {

using pci::ConfigSpace;

constexpr std::uint16_t kHead = 2;  // id and pointer
constexpr std::uint16_t kExtendedHead = 4;

// Power management: PCI power management 1.2, 3.2.
constexpr std::uint16_t kPowerVersion = 0x7;
constexpr std::uint16_t kPowerControl = 4;
constexpr std::uint16_t kPowerState = 0x3;
constexpr std::uint16_t kNoSoftReset = 0x8;

// PCI Express: PCI Express 5.0, 7.5.3.
constexpr std::uint16_t kExpressIntegrated = 0x0090;  // the kind of device
constexpr std::uint16_t kExpressVersion = 0x000f;
constexpr std::uint16_t kDeviceCapabilities = 4;
constexpr std::uint16_t kDeviceControl = 8;
constexpr std::uint16_t kDeviceCapabilities2 = 0x24;
constexpr std::uint16_t kDeviceControl2 = 0x28;
constexpr std::uint32_t kCanReset = 1u << 28;
constexpr std::uint16_t kStartReset = 1u << 15;

// Advanced features: ECN of PCI 3.0.
constexpr std::uint16_t kFlrCapabilities = 3;
constexpr std::uint8_t kFlrOffered = 0x3;  // pending transactions, reset
constexpr std::uint16_t kFlrControl = 4;

std::uint16_t plus(std::uint16_t at, std::uint16_t bytes) {
  return static_cast<std::uint16_t>(at + bytes);
}

/// What both have in common; no bytes when nothing.
ConfigArea common(const ConfigArea& a, const ConfigArea& b) {
  const unsigned begin = std::max(a.offset, b.offset);
  const unsigned end = std::min<unsigned>(a.offset + a.bytes, b.offset + b.bytes);
  if (begin >= end) return {};
  return {.offset = static_cast<std::uint16_t>(begin),
          .bytes = static_cast<std::uint16_t>(end - begin)};
}

}  // namespace

ConfigLayout::ConfigLayout(const ConfigPlan& plan, bool resettable)
    : plan_(plan), resettable_(resettable) {}

void ConfigLayout::lay_out(ConfigSpace& config, std::span<const std::byte> device, Has has) {
  link(config, has);
  link_extended(config);
  for (const PlannedCapability& one : plan_.capabilities) place(config, device, one);
  for (const PlannedCapability& one : plan_.extended) place(config, device, one);
  const auto msix = plan_.find(CapabilityUse::kMsix);
  if (msix && has.msix) msix_at_ = msix->at;
}

void ConfigLayout::link(ConfigSpace& config, Has has) const {
  std::uint16_t last = pci::kCapabilities;
  for (const PlannedCapability& one : plan_.capabilities) {
    const bool there = one.use == CapabilityUse::kMsi    ? has.msi
                       : one.use == CapabilityUse::kMsix ? has.msix
                                                         : one.use != CapabilityUse::kHidden;
    if (!there) continue;
    config.set(last, static_cast<std::uint8_t>(one.at));
    config.set(one.at, static_cast<std::uint8_t>(one.id));
    last = plus(one.at, 1);
  }
  if (last == pci::kCapabilities) return;
  const auto status = config.get<std::uint16_t>(pci::kStatus);
  config.set(pci::kStatus, static_cast<std::uint16_t>(status | pci::kStatusCapabilities));
}

// The list begins at 0x100, if need be with a header that has no id.
void ConfigLayout::link_extended(ConfigSpace& config) const {
  std::uint16_t last = pci::kFirstExtendedCapability;
  for (const PlannedCapability& one : plan_.extended) {
    if (one.use == CapabilityUse::kHidden) continue;
    if (one.at != last) {
      config.set(last, config.get<std::uint32_t>(last) | std::uint32_t{one.at} << 20);
    }
    config.set(one.at, std::uint32_t{one.id} | std::uint32_t{one.version} << 16);
    last = one.at;
  }
}

void ConfigLayout::pass(ConfigSpace& config, const ConfigArea& area) {
  if (area.offset < pci::kFirstCapability) return;
  if (!fits(std::size_t{area.offset}, area.bytes, config.size())) return;
  for (std::uint16_t i = 0; i < area.bytes; ++i) {
    config.set_writable(plus(area.offset, i), std::uint8_t{0xff});
  }
  passed_.push_back(area);
}

void ConfigLayout::place(ConfigSpace& config, std::span<const std::byte> device,
                         const PlannedCapability& capability) {
  const std::uint16_t head = capability.at < pci::kFirstExtendedCapability ? kHead : kExtendedHead;
  const std::uint16_t body = plus(capability.at, head);
  const auto bytes = static_cast<std::uint16_t>(capability.bytes - head);
  switch (capability.use) {
    case CapabilityUse::kReadOnly:
      std::ranges::copy(device.subspan(body, bytes), config.bytes(body, bytes).begin());
      return;
    case CapabilityUse::kPassed:
      return pass(config, {.offset = body, .bytes = bytes});
    case CapabilityUse::kPower:
      return place_power(config, device, capability.at);
    case CapabilityUse::kExpress:
      return place_express(config, device, capability);
    case CapabilityUse::kFlr:
      flr_at_ = capability.at;
      config.set(body, std::uint8_t{6});
      config.set(plus(flr_at_, kFlrCapabilities), resettable_ ? kFlrOffered : std::uint8_t{0});
      config.set_writable(plus(flr_at_, kFlrControl), std::uint8_t{1});
      return;
    case CapabilityUse::kHidden:
    case CapabilityUse::kMsi:
    case CapabilityUse::kMsix:
      return;
  }
}

// D0 and D3; no events, and registers keep their values: the device itself stays in D0.
void ConfigLayout::place_power(ConfigSpace& config, std::span<const std::byte> device,
                               std::uint16_t at) {
  power_at_ = at;
  const auto capabilities = load_le<std::uint16_t>(device.data() + at + kHead);
  config.set(plus(at, kHead), static_cast<std::uint16_t>(capabilities & kPowerVersion));
  config.set(plus(at, kPowerControl), kNoSoftReset);
  config.set_writable(plus(at, kPowerControl), kPowerState);
}

void ConfigLayout::place_express(ConfigSpace& config, std::span<const std::byte> device,
                                 const PlannedCapability& capability) {
  const std::uint16_t at = express_at_ = capability.at;
  const auto kind = load_le<std::uint16_t>(device.data() + at + kHead);
  config.set(plus(at, kHead),
             static_cast<std::uint16_t>((kind & kExpressVersion) | kExpressIntegrated));
  const auto can = load_le<std::uint32_t>(device.data() + at + kDeviceCapabilities);
  config.set(plus(at, kDeviceCapabilities), resettable_ ? can | kCanReset : can & ~kCanReset);
  pass(config, {.offset = plus(at, kDeviceControl), .bytes = 4});  // and status
  if (capability.bytes < kDeviceControl2 + 2) return;
  config.set(plus(at, kDeviceCapabilities2),
             load_le<std::uint32_t>(device.data() + at + kDeviceCapabilities2));
  pass(config, {.offset = plus(at, kDeviceControl2), .bytes = 2});
}

void ConfigLayout::read(const vfio::Device& device, ConfigSpace& config,
                        const ConfigArea& access) const {
  for (const ConfigArea& area : passed_) {
    const ConfigArea part = common(area, access);
    if (part.bytes == 0) continue;
    const auto bytes = config.bytes(part.offset, part.bytes);
    if (device.read(vfio::kConfigRegion, part.offset, bytes)) continue;
    std::ranges::fill(bytes, std::byte{0xff});
  }
}

void ConfigLayout::write(const vfio::Device& device, ConfigSpace& config,
                         const ConfigArea& access) const {
  for (const ConfigArea& area : passed_) {
    const ConfigArea part = common(area, access);
    if (part.bytes == 0) continue;
    const auto done =
        device.write(vfio::kConfigRegion, part.offset, config.bytes(part.offset, part.bytes));
    if (done) continue;
    VMM_LOG_GUEST(kWarn, "configuration space of a device of the host, 0x%x: %s", part.offset,
                  to_string(done.error()).c_str());
  }
}

bool ConfigLayout::takes_reset(ConfigSpace& config, const ConfigArea& access) const {
  bool asked = false;
  const std::uint16_t control = plus(express_at_, kDeviceControl);
  if (express_at_ != 0 && pci::touches(access.offset, access.bytes, control, 2)) {
    const auto value = config.get<std::uint16_t>(control);
    asked = (value & kStartReset) != 0;
    config.set(control, static_cast<std::uint16_t>(value & ~kStartReset));
  }
  const std::uint16_t flr = plus(flr_at_, kFlrControl);
  if (flr_at_ != 0 && pci::touches(access.offset, access.bytes, flr, 1)) {
    asked |= config.get<std::uint8_t>(flr) != 0;
    config.set(flr, std::uint8_t{0});
  }
  return asked && resettable_;
}

void ConfigLayout::reset(ConfigSpace& config) const {
  if (power_at_ != 0) config.set(plus(power_at_, kPowerControl), kNoSoftReset);
}

}  // namespace vmm::vfio_pci::detail
