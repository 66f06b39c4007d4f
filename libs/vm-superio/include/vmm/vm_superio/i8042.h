// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "vmm/vm_device/bus_device.h"

namespace vmm::vm_superio {

/// The part of a PC's keyboard controller that guests use without a keyboard: ports 0x60 to 0x64.
///
/// Command 0xfe at port 0x64 resets the machine. The status register reads 0 (nothing to fetch,
/// ready for a command); the data port reads 0 and ignores writes. Port 0x61, which lies in
/// between, keeps the two timer-2 gate bits; its refresh bit 4 toggles and its timer-2 output bit 5
/// reads 1, so that a guest that waits for either never waits for ever, as there is no PIT.
///
/// Threads: any, at once; `on_reset` may be called from several at once.
class I8042 final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 5;  ///< bytes: ports 0x60 to 0x64

  /// `on_reset` runs on the vCPU thread and must not block.
  explicit I8042(std::function<void()> on_reset) : on_reset_(std::move(on_reset)) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

  /// Reads the byte at `offset`.
  [[nodiscard]] std::uint8_t read_byte(std::uint64_t offset) {
    return offset == kControlB ? read_control_b() : 0;
  }

 private:
  static constexpr std::uint64_t kControlB = 1;  // port 0x61
  static constexpr std::uint64_t kCommand = 4;   // port 0x64

  std::uint8_t read_control_b();

  std::function<void()> on_reset_;
  std::atomic<std::uint8_t> gates_{0};    // bits 1:0 of port 0x61
  std::atomic<std::uint8_t> refresh_{0};  // bit 4 of port 0x61
};

}  // namespace vmm::vm_superio
