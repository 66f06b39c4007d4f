// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_pci/config_plan.h"

#include <algorithm>
#include <bitset>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/pci/msi.h"
#include "vmm/pci/registers.h"

namespace vmm::vfio_pci {
namespace {

using pci::PciError;

constexpr std::size_t kWord = 4;        // capabilities begin at multiples of it
constexpr std::uint16_t kSmallest = 3;  // a capability with a register
constexpr std::uint16_t kExtendedHead = 4;
constexpr std::uint32_t kNothing = 0xffff'ffff;  // read where there is no register

using Bytes = std::span<const std::byte>;
/// Where capabilities have been seen, by words.
using Seen = std::bitset<pci::kConfigBytes / kWord>;

std::uint8_t byte_at(Bytes config, std::size_t at) {
  return at < config.size() ? std::to_integer<std::uint8_t>(config[at]) : std::uint8_t{0};
}

std::uint16_t half_at(Bytes config, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(config, at) | byte_at(config, at + 1) << 8);
}

/// The conventional capabilities that a guest gets.
void plan(Bytes config, PlannedCapability& capability) {
  const std::uint16_t first = half_at(config, capability.at + 2u);  // behind id and pointer
  const auto take = [&capability](CapabilityUse use, unsigned bytes) {
    capability.use = use;
    capability.bytes = static_cast<std::uint16_t>(bytes);
  };
  switch (capability.id) {
    case pci::kCapabilityPower:
      return take(CapabilityUse::kPower, 8);
    case pci::kCapabilityMsi:
      return take(CapabilityUse::kMsi,
                  pci::Msi::bytes({.wide = (first & 0x80) != 0, .maskable = (first & 0x100) != 0}));
    case pci::kCapabilityMsix:
      return take(CapabilityUse::kMsix, 12);
    case pci::kCapabilityExpress:
      return take(CapabilityUse::kExpress, (first & 0xf) < 2 ? 0x14 : 0x3c);
    case pci::kCapabilityAdvanced:
      return take(CapabilityUse::kFlr, 6);
    case pci::kCapabilitySata:
      return take(CapabilityUse::kPassed, 8);
    case pci::kCapabilityVendor:
      if ((first & 0xff) >= kSmallest) take(CapabilityUse::kPassed, first & 0xff);
      return;
    default:
      return;
  }
}

void plan_extended(Bytes config, PlannedCapability& capability) {
  if (capability.id == pci::kExtendedSerial) {
    capability.use = CapabilityUse::kReadOnly;
    capability.bytes = 12;
  } else if (capability.id == pci::kExtendedVendor) {
    const std::uint16_t bytes = half_at(config, capability.at + 6u) >> 4;
    if (bytes < 2 * kExtendedHead) return;
    capability.use = CapabilityUse::kPassed;
    capability.bytes = bytes;
  }
}

/// Whether this use can be there once only.
bool is_single(CapabilityUse use) {
  return use != CapabilityUse::kHidden && use != CapabilityUse::kReadOnly &&
         use != CapabilityUse::kPassed;
}

void hide_doubles(std::vector<PlannedCapability>& list) {
  for (std::size_t i = 1; i < list.size(); ++i) {
    const auto same = [&](const PlannedCapability& other) { return other.use == list[i].use; };
    if (!is_single(list[i].use)) continue;
    if (!std::any_of(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(i), same)) continue;
    list[i].use = CapabilityUse::kHidden;
    list[i].bytes = 0;
  }
}

/// A capability ends where the next one begins. Those of vendors say their own length, and not
/// always the truth: they are cut; for others it is an error.
Result<void, PciError> check_room(std::vector<PlannedCapability>& list, std::size_t end) {
  for (PlannedCapability& one : list) {
    if (one.use == CapabilityUse::kHidden) continue;
    std::size_t room = end - one.at;
    for (const PlannedCapability& other : list) {
      if (other.at > one.at) room = std::min<std::size_t>(room, other.at - one.at);
    }
    if (one.bytes <= room) continue;
    if (one.use != CapabilityUse::kPassed) return fail(PciError::kBadCapability);
    one.bytes = static_cast<std::uint16_t>(room);
  }
  return {};
}

Result<std::vector<PlannedCapability>, PciError> read_list(Bytes config) {
  std::vector<PlannedCapability> list;
  if ((half_at(config, pci::kStatus) & pci::kStatusCapabilities) == 0) return list;
  Seen seen;
  std::size_t at = byte_at(config, pci::kCapabilities) & ~(kWord - 1);
  while (at != 0) {
    if (at < pci::kFirstCapability || seen.test(at / kWord)) return fail(PciError::kBadCapability);
    seen.set(at / kWord);
    list.push_back({.id = byte_at(config, at), .at = static_cast<std::uint16_t>(at)});
    plan(config, list.back());
    at = byte_at(config, at + 1) & ~(kWord - 1);
  }
  return list;
}

Result<std::vector<PlannedCapability>, PciError> read_extended(Bytes config) {
  std::vector<PlannedCapability> list;
  Seen seen;
  std::size_t at = config.size() < pci::kConfigBytes ? 0 : pci::kFirstExtendedCapability;
  while (at != 0) {
    if (at < pci::kFirstExtendedCapability || seen.test(at / kWord)) {
      return fail(PciError::kBadCapability);
    }
    seen.set(at / kWord);
    const auto head = load_le<std::uint32_t>(config.data() + at);
    if (head == 0 || head == kNothing) break;
    list.push_back({.id = static_cast<std::uint16_t>(head),
                    .at = static_cast<std::uint16_t>(at),
                    .bytes = 0,
                    .version = static_cast<std::uint8_t>(head >> 16 & 0xf)});
    plan_extended(config, list.back());
    at = head >> 20 & ~(kWord - 1);
  }
  return list;
}

}  // namespace

std::optional<PlannedCapability> ConfigPlan::find(CapabilityUse use) const {
  for (const auto* list : {&capabilities, &extended}) {
    const auto found =
        std::ranges::find_if(*list, [use](const PlannedCapability& one) { return one.use == use; });
    if (found != list->end()) return *found;
  }
  return std::nullopt;
}

Result<ConfigPlan, PciError> plan_config(Bytes config) {
  if (config.size() < pci::kConventionalConfigBytes) return fail(PciError::kBadCapability);
  ConfigPlan result;
  VMM_TRY(result.capabilities, read_list(config.first(pci::kConventionalConfigBytes)));
  VMM_TRY(result.extended, read_extended(config));
  hide_doubles(result.capabilities);
  VMM_TRY_DO(check_room(result.capabilities, pci::kConventionalConfigBytes));
  VMM_TRY_DO(check_room(result.extended, pci::kConfigBytes));
  return result;
}

}  // namespace vmm::vfio_pci
