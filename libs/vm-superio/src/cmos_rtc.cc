// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/cmos_rtc.h"

#include <algorithm>
#include <chrono>
#include <optional>

#include "vmm/base/checked.h"

namespace vmm::vm_superio {
namespace {

using Cells = std::array<std::uint8_t, 128>;

enum Index : std::uint8_t {
  kSeconds = 0x00,
  kMinutes = 0x02,
  kHours = 0x04,
  kWeekday = 0x06,  // 1 is Sunday
  kDay = 0x07,
  kMonth = 0x08,
  kYear = 0x09,
  kRegisterA = 0x0a,
  kRegisterB = 0x0b,
  kRegisterC = 0x0c,
  kRegisterD = 0x0d,
  kCentury = 0x32,
  kRamBelow4G = 0x34,  // two bytes: 64 KiB units above 16 MiB
  kRamAbove4G = 0x5b,  // three bytes: 64 KiB units
};
constexpr std::array kTimeCells = {kSeconds, kMinutes, kHours, kWeekday,
                                   kDay,     kMonth,   kYear,  kCentury};

constexpr std::uint8_t kUpdateInProgress = 1 << 7;  // register A
constexpr std::uint8_t kSet = 1 << 7;               // register B
constexpr std::uint8_t kBinary = 1 << 2;            // register B
constexpr std::uint8_t k24Hours = 1 << 1;           // register B
constexpr std::uint8_t kValid = 1 << 7;             // register D
constexpr std::uint8_t kPm = 1 << 7;                // hours, in 12-hour format

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kUpdateTime = 244'000;  // how long before the update UIP is set
// What four digits of year can show.
constexpr std::int64_t kLastSecond = 253'402'300'799;  // 9999-12-31 23:59:59

bool is_time_cell(std::uint8_t index) {
  return std::ranges::find(kTimeCells, index) != kTimeCells.end();
}

std::uint8_t encode(unsigned value, std::uint8_t register_b) {
  const unsigned coded = (register_b & kBinary) != 0 ? value : value / 10 * 16 + value % 10;
  return static_cast<std::uint8_t>(coded);
}

std::optional<unsigned> decode(std::uint8_t value, std::uint8_t register_b, unsigned low,
                               unsigned high) {
  unsigned number = value;
  if ((register_b & kBinary) == 0) {
    if (value % 16 > 9 || value / 16 > 9) return std::nullopt;
    number = value / 16u * 10 + value % 16u;
  }
  if (number < low || number > high) return std::nullopt;
  return number;
}

std::uint8_t encode_hour(unsigned hour, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return encode(hour, register_b);
  const unsigned half = hour % 12 == 0 ? 12 : hour % 12;
  return encode(half, register_b) | (hour >= 12 ? kPm : 0);
}

std::optional<unsigned> decode_hour(std::uint8_t value, std::uint8_t register_b) {
  if ((register_b & k24Hours) != 0) return decode(value, register_b, 0, 23);
  const auto half = decode(value & static_cast<std::uint8_t>(~kPm), register_b, 1, 12);
  if (!half) return std::nullopt;
  return *half % 12 + ((value & kPm) != 0 ? 12u : 0u);
}

/// Writes the time registers for `seconds` since 1970, which is in [0, kLastSecond].
void fill_time(Cells& cells, std::int64_t seconds) {
  using namespace std::chrono;
  const std::uint8_t b = cells[kRegisterB];
  const sys_days day{days{seconds / 86400}};
  const year_month_day date{day};
  const auto of_day = static_cast<unsigned>(seconds % 86400);
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  cells[kSeconds] = encode(of_day % 60, b);
  cells[kMinutes] = encode(of_day / 60 % 60, b);
  cells[kHours] = encode_hour(of_day / 3600, b);
  cells[kWeekday] = encode(weekday{day}.c_encoding() + 1, b);
  cells[kDay] = encode(static_cast<unsigned>(date.day()), b);
  cells[kMonth] = encode(static_cast<unsigned>(date.month()), b);
  cells[kYear] = encode(year % 100, b);
  cells[kCentury] = encode(year / 100, b);
}

/// Seconds since 1970 that the time registers show; nullopt when they are no date after it.
std::optional<std::int64_t> parse_time(const Cells& cells) {
  using namespace std::chrono;
  const std::uint8_t b = cells[kRegisterB];
  const auto second = decode(cells[kSeconds], b, 0, 59);
  const auto minute = decode(cells[kMinutes], b, 0, 59);
  const auto hour = decode_hour(cells[kHours], b);
  const auto dom = decode(cells[kDay], b, 1, 31);
  const auto mon = decode(cells[kMonth], b, 1, 12);
  const auto low = decode(cells[kYear], b, 0, 99);
  const auto high = decode(cells[kCentury], b, 0, 99);
  if (!second || !minute || !hour || !dom || !mon || !low || !high) return std::nullopt;
  const year_month_day date{year{static_cast<int>(*high * 100 + *low)}, month{*mon}, day{*dom}};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = sys_days{date}.time_since_epoch().count();
  if (days < 0) return std::nullopt;
  return days * 86400 + *hour * 3600 + *minute * 60 + *second;
}

}  // namespace

CmosRtc::CmosRtc(const WallClock& clock, Ram ram) : clock_(clock) {
  constexpr std::uint64_t kUnit = 64 * 1024;
  constexpr std::uint64_t kBase = 16 * 1024 * 1024;
  const std::uint64_t below = ram.below_4g > kBase ? (ram.below_4g - kBase) / kUnit : 0;
  const std::uint64_t low = std::min<std::uint64_t>(below, 0xffff);
  const std::uint64_t high = std::min<std::uint64_t>(ram.above_4g / kUnit, 0xffffff);
  const MutexLock lock(mutex_);
  for (unsigned i = 0; i < 2; ++i) cells_[kRamBelow4G + i] = (low >> (8 * i)) & 0xff;
  for (unsigned i = 0; i < 3; ++i) cells_[kRamAbove4G + i] = (high >> (8 * i)) & 0xff;
  cells_[kRegisterA] = 0x26;  // 32768 Hz time base, 1024 Hz periodic rate
  cells_[kRegisterB] = k24Hours;
}

void CmosRtc::read(std::uint64_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    // The index port is write-only.
    data[i] = offset + i == 1 ? std::byte{read_cell(index_)} : std::byte{0xff};
  }
}

void CmosRtc::write(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto value = std::to_integer<std::uint8_t>(data[i]);
    if (offset + i == 0) {
      index_ = value & 0x7f;  // bit 7 masks NMIs, of which there are none
    } else if (offset + i == 1) {
      write_cell(index_, value);
    }
  }
}

std::uint8_t CmosRtc::read_cell(std::uint8_t index) const {
  if (index == kRegisterC) return 0;
  if (index == kRegisterD) return kValid;
  if (is_frozen()) return cells_[index];
  const std::int64_t now = guest_ns();
  if (index == kRegisterA) {
    const bool updating = now % kSecond >= kSecond - kUpdateTime;
    return cells_[index] | (updating ? kUpdateInProgress : 0);
  }
  if (!is_time_cell(index)) return cells_[index];
  Cells cells = cells_;
  fill_time(cells, now / kSecond);
  return cells[index];
}

void CmosRtc::write_cell(std::uint8_t index, std::uint8_t value) {
  switch (index) {
    case kRegisterA:
      cells_[index] = value & static_cast<std::uint8_t>(~kUpdateInProgress);
      return;
    case kRegisterB:
      write_register_b(value);
      return;
    case kRegisterC:
    case kRegisterD:
      return;  // read-only
    default:
      break;
  }
  if (is_frozen() || !is_time_cell(index)) {
    cells_[index] = value;
    return;
  }
  Cells cells = cells_;
  fill_time(cells, guest_ns() / kSecond);
  cells[index] = value;
  set_time_from(cells);
}

void CmosRtc::write_register_b(std::uint8_t value) {
  const bool was_frozen = is_frozen();
  const bool freeze = (value & kSet) != 0;
  if (freeze && !was_frozen) fill_time(cells_, guest_ns() / kSecond);
  cells_[kRegisterB] = value;
  if (was_frozen && !freeze) set_time_from(cells_);
}

bool CmosRtc::is_frozen() const { return (cells_[kRegisterB] & kSet) != 0; }

/// Guest time, kept within what the registers can show.
std::int64_t CmosRtc::guest_ns() const {
  const std::int64_t host = clock_.nanoseconds();
  const std::int64_t now = checked_add(host, offset_ns_).value_or(host);
  return std::clamp<std::int64_t>(now, 0, std::min(kLastSecond, INT64_MAX / kSecond) * kSecond);
}

/// Sets the clock to what `cells` show; does nothing when that is no valid time.
void CmosRtc::set_time_from(const Cells& cells) {
  const auto seconds = parse_time(cells);
  if (!seconds) return;
  const auto ns = checked_mul(*seconds, kSecond);
  if (!ns) return;
  // A clock that was set makes its first step half a second later.
  const auto middle = checked_add(*ns, kSecond / 2);
  if (!middle) return;
  if (const auto offset = checked_sub(*middle, clock_.nanoseconds())) offset_ns_ = *offset;
}

CmosState CmosRtc::state() const {
  const MutexLock lock(mutex_);
  return {.index = index_, .cells = cells_, .offset_ns = offset_ns_};
}

Result<void, StateError> CmosRtc::restore(const CmosState& state) {
  if (state.index > 0x7f || (state.cells[kRegisterA] & kUpdateInProgress) != 0) {
    return fail(StateError::kReservedBits);
  }
  const MutexLock lock(mutex_);
  index_ = state.index;
  cells_ = state.cells;
  offset_ns_ = state.offset_ns;
  return {};
}

}  // namespace vmm::vm_superio
