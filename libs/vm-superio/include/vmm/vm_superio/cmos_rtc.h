// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_superio/state_error.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::vm_superio {

/// Everything of a CmosRtc; plain data for snapshots.
struct CmosState {
  std::uint8_t index = 0;                 ///< selected register, below 128
  std::array<std::uint8_t, 128> cells{};  ///< registers and battery-backed RAM
  std::int64_t offset_ns = 0;             ///< guest time minus host time

  friend bool operator==(const CmosState&, const CmosState&) = default;
};

/// An MC146818 real-time clock with 128 bytes of CMOS RAM: ports 0x70 (register index) and 0x71
/// (data).
///
/// Time follows the host; a guest that sets its clock sets an offset. Formats follow register B
/// (BCD or binary, 12 or 24 hours); the century is register 0x32. UIP in register A is set for the
/// last 244 microseconds of each second and while SET is clear, so a careful guest never reads a
/// torn time. Registers 0x34/0x35 and 0x5b to 0x5d start with the RAM size as firmware expects it.
/// Not modelled: alarm, periodic and update interrupts (register C reads 0).
///
/// Threads: any, at once.
class CmosRtc final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 2;  ///< bytes: ports 0x70 and 0x71

  /// What firmware is told of guest memory.
  struct Ram {
    std::uint64_t below_4g;  ///< bytes, from address 0
    std::uint64_t above_4g;  ///< bytes
  };
  /// Borrows `clock`, which must outlive this object.
  CmosRtc(const WallClock& clock, Ram ram);

  void read(std::uint64_t offset, std::span<std::byte> data) override VMM_EXCLUDES(mutex_);
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// For a snapshot.
  [[nodiscard]] CmosState state() const VMM_EXCLUDES(mutex_);
  /// Errors, without a change: kReservedBits.
  Result<void, StateError> restore(const CmosState& state) VMM_EXCLUDES(mutex_);

 private:
  using Cells = std::array<std::uint8_t, 128>;

  [[nodiscard]] std::uint8_t read_cell(std::uint8_t index) const VMM_REQUIRES(mutex_);
  void write_cell(std::uint8_t index, std::uint8_t value) VMM_REQUIRES(mutex_);
  void write_register_b(std::uint8_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::int64_t guest_ns() const VMM_REQUIRES(mutex_);
  void set_time_from(const Cells& cells) VMM_REQUIRES(mutex_);
  [[nodiscard]] bool is_frozen() const VMM_REQUIRES(mutex_);

  const WallClock& clock_;
  mutable Mutex mutex_;
  std::uint8_t index_ VMM_GUARDED_BY(mutex_) = 0;
  Cells cells_ VMM_GUARDED_BY(mutex_){};
  std::int64_t offset_ns_ VMM_GUARDED_BY(mutex_) = 0;
};

}  // namespace vmm::vm_superio
