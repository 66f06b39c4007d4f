// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The two real-time clocks: CMOS and PL031.

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "vmm/vm_superio/cmos_rtc.h"
#include "vmm/vm_superio/pl031.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

constexpr std::int64_t kMiB = 1024 * 1024;
constexpr std::int64_t kLeapDay = 1'709'251'199;  // Thursday 2024-02-29 23:59:59

struct Cmos {
  explicit Cmos(std::int64_t now = kLeapDay, CmosRtc::Ram ram = {}) : clock(now), rtc(clock, ram) {}

  unsigned get(unsigned index) {
    select(index);
    std::array<std::byte, 1> data{};
    rtc.read(1, data);
    return std::to_integer<unsigned>(data[0]);
  }
  void set(unsigned index, unsigned value) {
    select(index);
    const std::array data = {std::byte{static_cast<std::uint8_t>(value)}};
    rtc.write(1, data);
  }
  void select(unsigned index) {
    const std::array data = {std::byte{static_cast<std::uint8_t>(index)}};
    rtc.write(0, data);
  }
  /// century, year, month, day, weekday, hour, minute, second, as the registers show them
  std::vector<unsigned> date() {
    return {get(0x32), get(9), get(8), get(7), get(6), get(4), get(2), get(0)};
  }

  testing::FakeClock clock;
  CmosRtc rtc;
};

using Date = std::vector<unsigned>;

TEST_CASE("the clock shows the host's time in the format of register B", "[cmos]") {
  struct Case {
    const char* name;
    std::int64_t seconds;
    unsigned b;
    Date shown;
  };
  const auto c = GENERATE(values<Case>({
      {"BCD, 24 hours", kLeapDay, 0x02, {0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x59}},
      {"binary, 24 hours", kLeapDay, 0x06, {20, 24, 2, 29, 5, 23, 59, 59}},
      {"BCD, 12 hours", kLeapDay, 0x00, {0x20, 0x24, 0x02, 0x29, 5, 0x91, 0x59, 0x59}},
      {"binary, 12 hours", kLeapDay, 0x04, {20, 24, 2, 29, 5, 0x8b, 59, 59}},
      {"the next day", kLeapDay + 1, 0x02, {0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00}},
      {"midnight, 12 hours", kLeapDay + 1, 0x04, {20, 24, 3, 1, 6, 12, 0, 0}},
      {"noon, 12 hours", kLeapDay + 43'201, 0x04, {20, 24, 3, 1, 6, 0x8c, 0, 0}},
      {"1970", 0, 0x06, {19, 70, 1, 1, 5, 0, 0, 0}},
      {"before 1970", -100, 0x06, {19, 70, 1, 1, 5, 0, 0, 0}},
  }));
  CAPTURE(c.name);
  Cmos cmos(c.seconds);
  cmos.set(0x0b, c.b);
  CHECK(cmos.date() == c.shown);
}

TEST_CASE("status registers read as those of a clock that runs", "[cmos]") {
  Cmos cmos;
  CHECK(cmos.get(0x0a) == 0x26);
  CHECK(cmos.get(0x0b) == 0x02);
  CHECK(cmos.get(0x0c) == 0x00);
  CHECK(cmos.get(0x0d) == 0x80);
  for (const unsigned index : {0x0cu, 0x0du}) cmos.set(index, 0xff);
  CHECK(cmos.get(0x0c) == 0x00);
  CHECK(cmos.get(0x0d) == 0x80);
  cmos.set(0x0a, 0xff);
  CHECK(cmos.get(0x0a) == 0x7f);
}

TEST_CASE("an update is announced 244 microseconds ahead and never while SET", "[cmos]") {
  Cmos cmos;
  cmos.clock.ns += 999'755'999;
  CHECK((cmos.get(0x0a) & 0x80) == 0);
  cmos.clock.ns += 1;
  CHECK((cmos.get(0x0a) & 0x80) != 0);
  cmos.clock.ns += 243'999;
  CHECK((cmos.get(0x0a) & 0x80) != 0);
  cmos.set(0x0b, 0x82);
  CHECK((cmos.get(0x0a) & 0x80) == 0);
  cmos.clock.ns += 1;
  CHECK((cmos.get(0x0a) & 0x80) == 0);
}

TEST_CASE("setting the clock as a driver does moves it by an offset", "[cmos]") {
  Cmos cmos;
  cmos.set(0x0b, 0x82);  // SET
  CHECK(cmos.get(0) == 0x59);
  cmos.clock.ns += 5'000'000'000;
  CHECK(cmos.get(0) == 0x59);  // stands still
  const std::vector<std::pair<unsigned, unsigned>> writes = {
      {0x32, 0x19}, {9, 0x99}, {8, 0x12}, {7, 0x31}, {4, 0x23}, {2, 0x59}, {0, 0x58}};
  for (const auto& [index, value] : writes) cmos.set(index, value);
  CHECK(cmos.get(9) == 0x99);
  cmos.set(0x0b, 0x02);
  CHECK(cmos.date() == Date{0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x58});
  cmos.clock.ns += 1'500'000'000;
  CHECK(cmos.date() == Date{0x20, 0x00, 0x01, 0x01, 7, 0x00, 0x00, 0x00});
}

TEST_CASE("a time that does not exist leaves the clock alone", "[cmos][hostile]") {
  struct Case {
    const char* name;
    unsigned index, value;
  };
  const auto c = GENERATE(values<Case>({{"second 60", 0, 0x60},
                                        {"no BCD", 0, 0x0a},
                                        {"minute 99", 2, 0x99},
                                        {"hour 24", 4, 0x24},
                                        {"day 0", 7, 0x00},
                                        {"31 February", 7, 0x31},
                                        {"month 13", 8, 0x13},
                                        {"year 0xff", 9, 0xff},
                                        {"year 1824", 0x32, 0x18},
                                        {"year 9924", 0x32, 0x99}}));
  CAPTURE(c.name);
  Cmos cmos;
  const Date before = cmos.date();
  cmos.set(c.index, c.value);  // without SET
  CHECK(cmos.date() == before);
  cmos.set(0x0b, 0x82);
  cmos.set(c.index, c.value);
  cmos.set(0x0b, 0x02);
  CHECK(cmos.date() == before);
}

TEST_CASE("a single time register can be set without SET", "[cmos]") {
  Cmos cmos;
  cmos.set(4, 0x07);
  CHECK(cmos.date() == Date{0x20, 0x24, 0x02, 0x29, 5, 0x07, 0x59, 0x59});
}

TEST_CASE("the RAM size registers hold 64 KiB units, as much as fits", "[cmos]") {
  struct Case {
    const char* name;
    std::uint64_t below, above;
    unsigned low, high;
  };
  const auto c = GENERATE(values<Case>({
      {"less than 16 MiB", 8 * kMiB, 0, 0, 0},
      {"512 MiB", 512 * kMiB, 0, 0x1f00, 0},
      {"3 GiB and 5 GiB", 3072 * kMiB, 5120 * kMiB, 0xbf00, 0x14000},
      {"too much", 1ull << 62, 1ull << 62, 0xffff, 0xffffff},
  }));
  CAPTURE(c.name);
  Cmos cmos(0, {.below_4g = c.below, .above_4g = c.above});
  CHECK((cmos.get(0x34) | cmos.get(0x35) << 8) == c.low);
  CHECK((cmos.get(0x5b) | cmos.get(0x5c) << 8 | cmos.get(0x5d) << 16) == c.high);
}

TEST_CASE("the rest is RAM, and the index has seven bits", "[cmos]") {
  Cmos cmos;
  for (unsigned index = 0x0e; index < 0x32; ++index) cmos.set(index, index ^ 0x5a);
  for (unsigned index = 0x0e; index < 0x32; ++index) {
    CHECK(cmos.get(index) == (index ^ 0x5a));
    CHECK(cmos.get(index | 0x80) == (index ^ 0x5a));
  }
  std::array<std::byte, 4> data{};
  cmos.select(0x0d);
  cmos.rtc.read(0, data);
  CHECK(data == std::array{std::byte{0xff}, std::byte{0x80}, std::byte{0xff}, std::byte{0xff}});
}

TEST_CASE("a saved CMOS goes on where it was", "[cmos][state]") {
  Cmos cmos;
  cmos.set(4, 0x07);
  cmos.set(0x40, 0x99);
  const CmosState state = cmos.rtc.state();
  Cmos other(0);
  REQUIRE(other.rtc.restore(state));
  CHECK(other.rtc.state() == state);
  CHECK(other.get(0x40) == 0x99);
  other.clock.ns = cmos.clock.ns;
  CHECK(other.date() == cmos.date());
}

TEST_CASE("any offset can be restored; what does not exist cannot", "[cmos][state][hostile]") {
  Cmos cmos;
  CmosState state = cmos.rtc.state();
  for (const std::int64_t offset :
       {std::numeric_limits<std::int64_t>::max(), std::numeric_limits<std::int64_t>::min()}) {
    state.offset_ns = offset;
    REQUIRE(cmos.rtc.restore(state));
    (void)cmos.date();
    cmos.set(9, 0x30);
  }
  const CmosState before = cmos.rtc.state();
  state = before;
  state.index = 0x80;
  CHECK(cmos.rtc.restore(state).error() == StateError::kReservedBits);
  state = before;
  state.cells[0x0a] = 0x80;
  CHECK(cmos.rtc.restore(state).error() == StateError::kReservedBits);
  CHECK(cmos.rtc.state() == before);
}

TEST_CASE("PL031: registers follow the specification", "[pl031]") {
  testing::FakeClock clock(1'000'000);
  Pl031 rtc(clock);
  CHECK(rtc.read_register(0x00) == 1'000'000);
  CHECK(rtc.read_register(0x0c) == 1);
  rtc.write_register(0x04, 0x1234);
  CHECK(rtc.read_register(0x04) == 0x1234);

  rtc.write_register(0x08, 500);
  CHECK(rtc.read_register(0x08) == 500);
  CHECK(rtc.read_register(0x00) == 500);
  clock.ns += 7'900'000'000;
  CHECK(rtc.read_register(0x00) == 507);

  rtc.write_register(0x0c, 0);  // ignored
  rtc.write_register(0x0c, 2);
  CHECK(rtc.read_register(0x00) == 507);
  rtc.write_register(0x0c, 1);
  CHECK(rtc.read_register(0x00) == 1'000'007);
  CHECK(rtc.read_register(0x08) == 0);

  rtc.write_register(0x10, 0xffff'ffff);
  CHECK(rtc.read_register(0x10) == 1);
  for (const std::uint64_t offset : {0x14u, 0x18u, 0x1cu, 0x20u, 0x800u, 0xfdcu, 0x1000u}) {
    rtc.write_register(offset, 0xffff'ffff);
    CHECK(rtc.read_register(offset) == 0);
  }
}

TEST_CASE("PL031: interrupt state restores, masks and clears", "[pl031][state]") {
  testing::FakeClock clock(0);
  Pl031 rtc(clock);
  REQUIRE(rtc.restore({.load = 1, .match = 2, .imsc = 0, .ris = 1, .offset_s = 3}));
  CHECK(rtc.read_register(0x14) == 1);
  CHECK(rtc.read_register(0x18) == 0);
  rtc.write_register(0x10, 1);
  CHECK(rtc.read_register(0x18) == 1);
  rtc.write_register(0x1c, 0);
  CHECK(rtc.read_register(0x14) == 1);
  rtc.write_register(0x1c, 1);
  CHECK(rtc.read_register(0x14) == 0);
  CHECK(rtc.state() == Pl031State{.load = 1, .match = 2, .imsc = 1, .ris = 0, .offset_s = 3});
  CHECK(rtc.restore({.imsc = 2}).error() == StateError::kReservedBits);
  CHECK(rtc.restore({.ris = 2}).error() == StateError::kReservedBits);
}

TEST_CASE("PL031: extreme times wrap or fall back, and never trap", "[pl031][hostile]") {
  testing::FakeClock clock(5'000'000'000);  // beyond 32 bits
  Pl031 rtc(clock);
  CHECK(rtc.read_register(0) == 5'000'000'000 - (1ll << 32));
  rtc.write_register(0x08, 0xffff'ffff);
  CHECK(rtc.read_register(0) == 0xffff'ffff);
  clock.ns += 1'000'000'000;
  CHECK(rtc.read_register(0) == 0);
  REQUIRE(rtc.restore({.offset_s = std::numeric_limits<std::int64_t>::max()}));
  CHECK(rtc.read_register(0) == 5'000'000'001 - (1ll << 32));  // the host's
}

TEST_CASE("PL031: the identification and accesses of any width", "[pl031]") {
  testing::FakeClock clock(0x11223344);
  Pl031 rtc(clock);
  const std::array<unsigned, 8> ids = {0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(rtc.read_register(0xfe0 + 4 * i) == ids[i]);

  std::array<std::byte, 8> data{};
  rtc.read(0, data);
  CHECK(data[0] == std::byte{0x44});
  CHECK(data[3] == std::byte{0x11});
  rtc.read(2, std::span(data).first(1));
  CHECK(data[0] == std::byte{0x22});
  const std::array half = {std::byte{0xcd}, std::byte{0xab}};
  rtc.write(0x04, half);
  CHECK(rtc.read_register(0x04) == 0xabcd);
  rtc.write(0x06, half);  // not at a register's start
  CHECK(rtc.read_register(0x04) == 0xabcd);
}

TEST_CASE("the host clock is the C library's", "[rtc]") {
  const HostClock clock;
  CHECK(clock.seconds() > 1'600'000'000);
  CHECK(std::abs(clock.nanoseconds() / 1'000'000'000 - clock.seconds()) <= 1);
}

}  // namespace
