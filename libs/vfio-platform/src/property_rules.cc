// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "property_rules.h"

#include <algorithm>
#include <array>

namespace vmm::vfio_platform::detail {
namespace {

struct Named {
  std::string_view name;
  Rule rule;
};

constexpr Named copied(std::string_view name, Shape shape) {
  return {name, {.treatment = Treatment::kCopied, .shape = shape}};
}
constexpr Named other(std::string_view name, Treatment treatment) {
  return {name, {.treatment = treatment, .shape = Shape::kFlag}};
}

// Sorted by name. Of the devicetree specification 0.4 and the bindings of the kernel that many
// kinds of devices share (ethernet-controller, mmc-controller, serial, dma-common, reg-io-width).
constexpr std::array kRules = std::to_array<Named>({
    other("#address-cells", Treatment::kMade),
    copied("#dma-cells", Shape::kCell),
    copied("#gpio-cells", Shape::kCell),
    copied("#io-channel-cells", Shape::kCell),
    copied("#pwm-cells", Shape::kCell),
    other("#size-cells", Treatment::kMade),
    other("access-controllers", Treatment::kHosts),
    other("assigned-clock-parents", Treatment::kHosts),
    other("assigned-clock-rates", Treatment::kHosts),
    other("assigned-clocks", Treatment::kHosts),
    copied("big-endian", Shape::kFlag),
    copied("bus-width", Shape::kCell),
    copied("cap-mmc-highspeed", Shape::kFlag),
    copied("cap-sd-highspeed", Shape::kFlag),
    copied("clock-frequency", Shape::kCell),
    other("clock-names", Treatment::kReference),
    other("clocks", Treatment::kReference),
    copied("compatible", Shape::kStrings),
    copied("current-speed", Shape::kCell),
    copied("dma-channel-mask", Shape::kCells),
    copied("dma-channels", Shape::kCell),
    copied("dma-coherent", Shape::kFlag),
    other("dma-names", Treatment::kReference),
    copied("dma-requests", Shape::kCell),
    other("dmas", Treatment::kReference),
    copied("fifo-size", Shape::kCell),
    copied("gpio-controller", Shape::kFlag),
    other("interconnect-names", Treatment::kHosts),
    other("interconnects", Treatment::kHosts),
    copied("interrupt-names", Shape::kStrings),
    other("interrupt-parent", Treatment::kMade),
    other("interrupts", Treatment::kMade),
    other("interrupts-extended", Treatment::kMade),
    other("io-channels", Treatment::kReference),
    other("iommu-map", Treatment::kReference),
    other("iommus", Treatment::kHosts),
    other("linux,phandle", Treatment::kMade),
    copied("little-endian", Shape::kFlag),
    copied("local-mac-address", Shape::kMac),
    copied("mac-address", Shape::kMac),
    copied("max-frame-size", Shape::kCell),
    copied("max-frequency", Shape::kCell),
    copied("max-speed", Shape::kCell),
    other("mboxes", Treatment::kReference),
    other("memory-region", Treatment::kReference),
    other("msi-parent", Treatment::kReference),
    other("name", Treatment::kMade),
    copied("native-endian", Shape::kFlag),
    copied("no-loopback-test", Shape::kFlag),
    copied("non-removable", Shape::kFlag),
    other("nvmem-cell-names", Treatment::kReference),
    other("nvmem-cells", Treatment::kReference),
    other("operating-points-v2", Treatment::kHosts),
    other("phandle", Treatment::kMade),
    copied("phy-connection-type", Shape::kStrings),
    other("phy-handle", Treatment::kReference),
    copied("phy-mode", Shape::kStrings),
    other("phy-names", Treatment::kReference),
    other("phys", Treatment::kReference),
    other("pinctrl-names", Treatment::kHosts),
    other("power-domain-names", Treatment::kReference),
    other("power-domains", Treatment::kReference),
    other("ranges", Treatment::kMade),
    other("reg", Treatment::kMade),
    copied("reg-io-width", Shape::kCell),
    copied("reg-names", Shape::kStrings),
    copied("reg-offset", Shape::kCell),
    copied("reg-shift", Shape::kCell),
    other("required-opps", Treatment::kHosts),
    other("reset-names", Treatment::kReference),
    other("resets", Treatment::kReference),
    copied("rx-fifo-depth", Shape::kCell),
    other("status", Treatment::kMade),
    other("syscon", Treatment::kReference),
    copied("tx-fifo-depth", Shape::kCell),
    other("wakeup-source", Treatment::kMade),
});
static_assert(std::ranges::is_sorted(kRules, {}, &Named::name));

// Strings of printable characters, each with a NUL behind it, none of them empty.
bool are_strings(std::span<const std::byte> value) {
  if (value.empty() || value.back() != std::byte{0}) return false;
  bool begins = true;
  for (const std::byte byte : value) {
    const auto c = std::to_integer<std::uint8_t>(byte);
    if (c == 0 && begins) return false;
    if (c != 0 && (c < 0x20 || c > 0x7e)) return false;
    begins = c == 0;
  }
  return true;
}

}  // namespace

Rule rule_for(std::string_view name) {
  const auto* const found = std::ranges::lower_bound(kRules, name, {}, &Named::name);
  if (found != kRules.end() && found->name == name) return found->rule;
  for (const std::string_view end : {"-gpio", "-gpios", "-supply"}) {
    if (name.ends_with(end)) return {.treatment = Treatment::kReference};
  }
  if (name == "gpio" || name == "gpios") return {.treatment = Treatment::kReference};
  if (name.starts_with("pinctrl-")) return {.treatment = Treatment::kHosts};
  return {};
}

bool has_shape(Shape shape, std::span<const std::byte> value) {
  constexpr std::size_t kCellBytes = 4;
  switch (shape) {
    case Shape::kFlag:
      return value.empty();
    case Shape::kCell:
      return value.size() == kCellBytes;
    case Shape::kCells:
      return !value.empty() && value.size() % kCellBytes == 0;
    case Shape::kStrings:
      return are_strings(value);
    case Shape::kMac:
      return value.size() == 6;
  }
  return false;
}

std::size_t count_strings(std::span<const std::byte> value) {
  return static_cast<std::size_t>(std::ranges::count(value, std::byte{0}));
}

}  // namespace vmm::vfio_platform::detail
