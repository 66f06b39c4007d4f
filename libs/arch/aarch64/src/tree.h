// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the parts of a device tree share.

#include <charconv>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/fdt/fdt_writer.h"

namespace vmm::arch::aarch64::tree {

// Phandles. Those of CPUs and caches begin at kFirstCpu.
inline constexpr std::uint32_t kGic = 1;
inline constexpr std::uint32_t kIts = 2;
inline constexpr std::uint32_t kClock = 3;
inline constexpr std::uint32_t kGpioController = 4;
inline constexpr std::uint32_t kSerialPort = 5;
inline constexpr std::uint32_t kRealTimeClock = 6;
inline constexpr std::uint32_t kIommu = 7;
inline constexpr std::uint32_t kFirstCpu = 0x100;
inline constexpr std::uint32_t kFirstCache = 0x1'0000;
inline constexpr std::uint32_t kFirstOther = 0x100'0000;

// The first and the third cell of an interrupt.
inline constexpr std::uint32_t kSpi = 0;
inline constexpr std::uint32_t kPpi = 1;
inline constexpr std::uint32_t kEdgeRising = 1;
inline constexpr std::uint32_t kLevelHigh = 4;

/// "base@address" or "base7", made on the stack. Cuts what does not fit, which the writer refuses.
class Name {
 public:
  [[nodiscard]] static Name at(std::string_view base, std::uint64_t address) {
    return Name(base, "@", address, 16);
  }
  [[nodiscard]] static Name numbered(std::string_view base, std::uint64_t number) {
    return Name(base, "", number, 10);
  }
  operator std::string_view() const {
    return {text_, bytes_};
  }  // NOLINT(google-explicit-constructor)

 private:
  static constexpr std::size_t kMaxBase = 64;
  Name(std::string_view base, std::string_view mark, std::uint64_t number, int radix) {
    append(base.substr(0, kMaxBase));
    append(mark);
    const auto done = std::to_chars(text_ + bytes_, text_ + sizeof(text_), number, radix);
    bytes_ = static_cast<std::size_t>(done.ptr - text_);
  }
  void append(std::string_view part) {
    if (!part.empty()) std::memcpy(text_ + bytes_, part.data(), part.size());
    bytes_ += part.size();
  }

  char text_[kMaxBase + 24];
  std::size_t bytes_ = 0;
};

/// /cpus with its map and caches.
void put_cpus(fdt::Node& root, const DeviceTreeConfig& config);
/// The interrupt controller, the timer and the PMU behind it.
void put_interrupts(fdt::Node& root, const DeviceTreeConfig& config);
/// Everything with registers, and the clock they name.
void put_devices(fdt::Node& root, const DeviceTreeConfig& config);

/// Whether the caches are ones that put_cpus() can describe.
Result<void, ArchError> check_caches(const DeviceTreeConfig& config);

}  // namespace vmm::arch::aarch64::tree
