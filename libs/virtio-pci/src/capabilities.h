// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The vendor capabilities of the transport: virtio 1.3, 4.1.4. The arrays are what follows the two
// bytes of id and next pointer; offsets into them are less by two than those of the specification.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/base/checked.h"
#include "vmm/base/endian.h"
#include "vmm/pci/config_space.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_pci/layout.h"

namespace vmm::virtio_pci::detail {

inline constexpr std::size_t kHead = 2;
inline constexpr std::size_t kCapabilityBytes = 16;  // of the specification's structure
inline constexpr std::size_t kWindowDataBytes = 4;

// Offsets in the structure.
inline constexpr std::size_t kCapLength = 2;
inline constexpr std::size_t kCapKind = 3;
inline constexpr std::size_t kCapBar = 4;
inline constexpr std::size_t kCapId = 5;
inline constexpr std::size_t kCapOffset = 8;
inline constexpr std::size_t kCapBytes = 12;

template <std::size_t kBytes>
using Body = std::array<std::byte, kBytes - kHead>;

struct Fields {
  CapabilityKind kind;
  std::uint8_t bar = kRegistersBar;
  std::uint8_t id = 0;
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
};

template <std::size_t kBytes>
[[nodiscard]] Body<kBytes> make_body(const Fields& fields) {
  Body<kBytes> body{};
  body[kCapLength - kHead] = static_cast<std::byte>(kBytes);
  body[kCapKind - kHead] = static_cast<std::byte>(fields.kind);
  body[kCapBar - kHead] = static_cast<std::byte>(fields.bar);
  body[kCapId - kHead] = static_cast<std::byte>(fields.id);
  store_le(body.data() + (kCapOffset - kHead), fields.offset);
  store_le(body.data() + (kCapBytes - kHead), fields.bytes);
  return body;
}

[[nodiscard]] inline auto capability(CapabilityKind kind, const Part& part) {
  return make_body<kCapabilityBytes>({.kind = kind, .offset = part.offset, .bytes = part.bytes});
}

[[nodiscard]] inline auto notify_capability() {
  auto body = make_body<kCapabilityBytes + 4>(
      {.kind = CapabilityKind::kNotify, .offset = kNotifyPart.offset, .bytes = kNotifyPart.bytes});
  store_le(body.data() + (kCapabilityBytes - kHead), kNotifyMultiplier);
  return body;
}

[[nodiscard]] inline auto shared_memory_capability(
    const virtio_device::SharedMemoryRegion& region) {
  auto body = make_body<kCapabilityBytes + 8>({.kind = CapabilityKind::kSharedMemory,
                                               .bar = kSharedMemoryBar,
                                               .id = region.id,
                                               .bytes = static_cast<std::uint32_t>(region.bytes)});
  store_le(body.data() + (kCapabilityBytes - kHead + 4),
           static_cast<std::uint32_t>(region.bytes >> 32));
  return body;
}

/// The window through which configuration space reaches BAR 0: 4.1.4.9.
[[nodiscard]] inline auto window_capability() {
  return make_body<kCapabilityBytes + kWindowDataBytes>({.kind = CapabilityKind::kPciConfig});
}

/// Bar, offset, length and data are the driver's.
[[nodiscard]] inline auto window_mask() {
  Body<kCapabilityBytes + kWindowDataBytes> mask{};
  mask[kCapBar - kHead] = std::byte{0xff};
  for (std::size_t at = kCapOffset; at < kCapabilityBytes + kWindowDataBytes; ++at) {
    mask[at - kHead] = std::byte{0xff};
  }
  return mask;
}

[[nodiscard]] constexpr std::uint16_t window_data(std::uint16_t capability) {
  return static_cast<std::uint16_t>(capability + kCapabilityBytes);
}

struct Window {
  std::uint32_t offset;
  std::uint32_t bytes;
};
/// Where the window is; nullopt unless it is 1, 2 or 4 aligned bytes of BAR 0.
[[nodiscard]] inline std::optional<Window> window_of(const pci::ConfigSpace& config,
                                                     std::uint16_t capability) {
  const auto at = [capability](std::size_t field) {
    return static_cast<std::uint16_t>(capability + field);
  };
  const Window window{.offset = config.get<std::uint32_t>(at(kCapOffset)),
                      .bytes = config.get<std::uint32_t>(at(kCapBytes))};
  if (config.get<std::uint8_t>(at(kCapBar)) != kRegistersBar) return std::nullopt;
  if (!is_power_of_two(window.bytes) || window.bytes > kWindowDataBytes) return std::nullopt;
  if (window.offset % window.bytes != 0) return std::nullopt;
  if (!fits(std::uint64_t{window.offset}, window.bytes, kRegistersBytes)) return std::nullopt;
  return window;
}

}  // namespace vmm::virtio_pci::detail
