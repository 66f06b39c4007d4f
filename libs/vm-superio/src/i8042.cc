// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/i8042.h"

namespace vmm::vm_superio {
namespace {

constexpr std::byte kPulseReset{0xfe};
constexpr std::uint8_t kGateBits = 0x03;
constexpr std::uint8_t kRefresh = 1 << 4;
constexpr std::uint8_t kTimer2Output = 1 << 5;

}  // namespace

void I8042::read(std::uint64_t offset, std::span<std::byte> data) {
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::byte{read_byte(offset + i)};
}

void I8042::write(std::uint64_t offset, std::span<const std::byte> data) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    if (offset + i == kControlB) {
      gates_.store(std::to_integer<std::uint8_t>(data[i]) & kGateBits, std::memory_order_relaxed);
    } else if (offset + i == kCommand && data[i] == kPulseReset && on_reset_) {
      on_reset_();
    }
  }
}

std::uint8_t I8042::read_control_b() {
  const std::uint8_t refresh = refresh_.fetch_xor(kRefresh, std::memory_order_relaxed);
  const std::uint8_t gates = gates_.load(std::memory_order_relaxed);
  return static_cast<std::uint8_t>(refresh | gates | kTimer2Output);
}

}  // namespace vmm::vm_superio
