// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_superio/state_error.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::vm_superio {

/// Everything of a Pl031; plain data for snapshots.
struct Pl031State {
  std::uint32_t load = 0;     ///< RTCLR
  std::uint32_t match = 0;    ///< RTCMR
  std::uint32_t imsc = 0;     ///< bit 0
  std::uint32_t ris = 0;      ///< bit 0
  std::int64_t offset_s = 0;  ///< guest time minus host time

  friend bool operator==(const Pl031State&, const Pl031State&) = default;
};

/// An Arm PrimeCell PL031 real-time clock (DDI 0224): 4 KiB of MMIO.
///
/// The data register follows the host's clock plus the offset that the guest set through the load
/// register. Writing 1 to the control register drops that offset; it always reads 1. The match
/// register can be read back, but no match interrupt is raised. Write-only and unknown registers
/// read 0.
///
/// Threads: any, at once; without a lock.
class Pl031 final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 0x1000;  ///< bytes

  /// Borrows `clock`, which must outlive this object.
  explicit Pl031(const WallClock& clock) : clock_(clock) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

  /// One register; `offset` is a multiple of 4.
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset) const;
  /// The same for a write.
  void write_register(std::uint64_t offset, std::uint32_t value);

  /// For a snapshot.
  [[nodiscard]] Pl031State state() const;
  /// Errors, without a change: kReservedBits.
  Result<void, StateError> restore(const Pl031State& state);

 private:
  const WallClock& clock_;
  // Each is one register of its own; a guest that writes from two vCPUs at once gets either value.
  std::atomic<std::uint32_t> load_{0};
  std::atomic<std::uint32_t> match_{0};
  std::atomic<std::uint32_t> imsc_{0};
  std::atomic<std::uint32_t> ris_{0};
  std::atomic<std::int64_t> offset_s_{0};
};

}  // namespace vmm::vm_superio
