// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any sequence of guest accesses, passing time and restores: while the clock runs its registers
// always show a valid date, in whatever format.

#include "fuzz_input.h"
#include "vmm/vm_superio/cmos_rtc.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm::vm_superio;

unsigned get(CmosRtc& rtc, std::uint8_t index) {
  std::byte value{index};
  rtc.write(0, std::span(&value, 1));
  rtc.read(1, std::span(&value, 1));
  return std::to_integer<unsigned>(value);
}

unsigned number(unsigned value, bool binary) {
  if (binary) return value;
  require(value % 16 < 10 && value / 16 < 10);
  return value / 16 * 10 + value % 16;
}

void check(CmosRtc& rtc) {
  const CmosState state = rtc.state();
  const unsigned b = get(rtc, 0x0b);
  if ((b & 0x80) == 0) {
    const bool binary = (b & 4) != 0;
    require(number(get(rtc, 0), binary) < 60);
    require(number(get(rtc, 2), binary) < 60);
    const unsigned hour = get(rtc, 4);
    if ((b & 2) != 0) {
      require(number(hour, binary) < 24);
    } else {
      const unsigned half = number(hour & 0x7f, binary);
      require(half >= 1 && half <= 12);
    }
    const unsigned day = number(get(rtc, 7), binary);
    require(day >= 1 && day <= 31);
    const unsigned month = number(get(rtc, 8), binary);
    require(month >= 1 && month <= 12);
    require(number(get(rtc, 9), binary) < 100);
    require(number(get(rtc, 0x32), binary) >= 19);
  }
  require(rtc.restore(state).has_value());  // the index, above all
  require(rtc.state() == state);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  testing::FakeClock clock(1'709'251'199);
  CmosRtc rtc(clock, {.below_4g = std::uint64_t{1} << 30, .above_4g = 0});
  while (!in.empty()) {
    const std::uint8_t op = in.byte();
    switch (op & 7) {
      case 0: {
        std::vector<std::byte> bytes(1 + (op >> 4), std::byte{0});
        rtc.read(in.byte() & 3, bytes);
        break;
      }
      case 1:
        rtc.write(in.byte() & 3, in.bytes(1 + (op >> 4)));
        break;
      case 2:
      case 3:
      case 4:  // index and data
        rtc.write(0, in.bytes(2));
        break;
      case 5:
        clock.ns = in.take<std::int64_t>();
        break;
      default: {
        CmosState state = rtc.state();
        state.index = in.byte();
        state.offset_ns = in.take<std::int64_t>();
        state.cells[in.byte() & 0x7f] = in.byte();
        (void)rtc.restore(state);
        break;
      }
    }
    check(rtc);
  }
  return 0;
}
