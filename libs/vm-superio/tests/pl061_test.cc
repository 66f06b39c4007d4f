// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/pl061.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "vmm/vm_device/testing/recorders.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

enum Register : std::uint64_t {
  kData = 0x3fc,  // of all lines
  kDir = 0x400,
  kIs = 0x404,
  kIbe = 0x408,
  kIev = 0x40c,
  kIe = 0x410,
  kRis = 0x414,
  kMis = 0x418,
  kIc = 0x41c,
  kAfsel = 0x420,
};

struct Board {
  std::uint32_t get(std::uint64_t offset) {
    std::array<std::byte, 4> data{};
    gpio.read(offset, data);
    std::uint32_t value = 0;
    std::memcpy(&value, data.data(), sizeof(value));
    return value;
  }
  void set(std::uint64_t offset, std::uint32_t value) {
    std::array<std::byte, 4> data;
    std::memcpy(data.data(), &value, sizeof(value));
    gpio.write(offset, data);
  }

  vm_device::testing::FakeLine irq;
  Pl061 gpio{irq};
};

TEST_CASE("PL061: after reset all lines are inputs and all interrupts masked", "[pl061]") {
  Board board;
  for (std::uint64_t offset = 0; offset < 0xfe0; offset += 4) {
    CAPTURE(offset);
    // With no event selected, the falling edge is; nothing has been seen yet.
    CHECK(board.get(offset) == 0);
  }
  CHECK_FALSE(board.irq.level());
  CHECK(board.gpio.state() == Pl061State{});
}

TEST_CASE("PL061: the address selects the lines of an access to the data register", "[pl061]") {
  Board board;
  board.set(kDir, 0xff);
  board.set(kData, 0xa5);
  CHECK(board.get(kData) == 0xa5);
  CHECK(board.get(0) == 0);
  CHECK(board.get(0x0f << 2) == 0x05);
  board.set(0x0f << 2, 0xff);
  CHECK(board.get(kData) == 0xaf);
  board.set(0, 0xff);
  CHECK(board.get(kData) == 0xaf);
  board.set(0x80 << 2, 0);
  CHECK(board.get(kData) == 0x2f);
}

TEST_CASE("PL061: outputs read what was written and inputs what drives them", "[pl061]") {
  Board board;
  board.gpio.set_input(0, true);
  board.gpio.set_input(7, true);
  board.set(kDir, 0xf0);
  CHECK(board.get(kData) == 0x01);  // line 7 is an output of 0
  board.set(kData, 0x2a);
  CHECK(board.get(kData) == 0x21);  // a value for an input goes nowhere
  board.set(kDir, 0);
  CHECK(board.get(kData) == 0x81);
  board.set(kData, 0xff);
  board.set(kDir, 0xff);
  CHECK(board.get(kData) == 0x20);
}

TEST_CASE("PL061: an edge is latched as IBE and IEV say, until it is cleared", "[pl061]") {
  struct Case {
    const char* name;
    bool both, rising;
    bool after_rise, after_fall;
  };
  const auto c = GENERATE(values<Case>({{"falling", false, false, false, true},
                                        {"rising", false, true, true, false},
                                        {"both", true, false, true, true},
                                        {"both, whatever IEV says", true, true, true, true}}));
  CAPTURE(c.name);
  Board board;
  board.set(kIbe, c.both ? 8 : 0);
  board.set(kIev, c.rising ? 8 : 0);
  board.set(kIe, 8);
  const auto check = [&board](bool latched) {
    CHECK(board.get(kRis) == (latched ? 8 : 0));
    CHECK(board.get(kMis) == (latched ? 8 : 0));
    CHECK(board.irq.level() == latched);
  };
  board.gpio.set_input(3, true);
  check(c.after_rise);
  board.gpio.set_input(3, true);  // no edge
  board.set(kIc, 0xf7);           // another line's
  check(c.after_rise);
  board.set(kIc, 8);
  check(false);
  board.gpio.set_input(3, false);
  check(c.after_fall);
  board.set(kIc, 8);
  check(false);
}

TEST_CASE("PL061: a level interrupt follows the line and cannot be cleared", "[pl061]") {
  const bool high = GENERATE(false, true);
  CAPTURE(high);
  Board board;
  board.gpio.set_input(2, !high);
  board.set(kIev, high ? 4 : 0);
  board.set(kIs, 4);
  board.set(kIe, 4);
  CHECK_FALSE(board.irq.level());
  board.gpio.set_input(2, high);
  CHECK(board.irq.level());
  board.set(kIc, 0xff);
  CHECK(board.get(kRis) == 4);
  CHECK(board.irq.level());
  board.gpio.set_input(2, !high);
  CHECK_FALSE(board.irq.level());
  CHECK(board.get(kRis) == 0);
}

TEST_CASE("PL061: masking hides an interrupt and loses none", "[pl061]") {
  Board board;
  board.set(kIev, 0xff);
  board.gpio.set_input(5, true);
  CHECK(board.get(kRis) == 0x20);
  CHECK(board.get(kMis) == 0);
  CHECK_FALSE(board.irq.level());
  board.set(kIe, 0x20);
  CHECK(board.get(kMis) == 0x20);
  CHECK(board.irq.level());
  board.set(kIe, 0xdf);
  CHECK_FALSE(board.irq.level());
  board.set(kIe, 0xff);
  CHECK(board.irq.level());
}

TEST_CASE("PL061: outputs raise no interrupt", "[pl061]") {
  Board board;
  board.set(kDir, 0x03);
  board.set(kIbe, 0xff);
  board.set(kIs, 0x02);
  board.set(kIev, 0xff);
  board.set(kIe, 0xff);
  board.set(kData, 0x03);
  board.gpio.set_input(0, true);
  board.gpio.set_input(1, true);
  CHECK(board.get(kRis) == 0);
  board.set(kDir, 0);
  CHECK(board.get(kRis) == 0x02);  // the level is there, the edge is past
  CHECK(board.irq.level());
}

TEST_CASE("PL061: a line that turns to levels forgets its edges", "[pl061]") {
  Board board;
  board.set(kIev, 1);
  board.gpio.set_input(0, true);
  board.gpio.set_input(0, false);
  CHECK(board.get(kRis) == 1);
  board.set(kIs, 1);
  CHECK(board.get(kRis) == 0);
  board.set(kIs, 0);
  CHECK(board.get(kRis) == 0);
}

TEST_CASE("PL061: a power key is seen as Linux looks for it", "[pl061]") {
  Board board;
  board.set(kIe, 0);  // probe
  board.set(kIs, 0);  // both edges of line 3
  board.set(kIbe, 8);
  board.set(kIe, 8);
  for (const bool pressed : {true, false}) {
    board.gpio.set_input(3, pressed);
    REQUIRE(board.irq.level());
    CHECK(board.get(kMis) == 8);
    board.set(kIc, 8);
    CHECK_FALSE(board.irq.level());
    CHECK((board.get(8 << 2) != 0) == pressed);
  }
}

TEST_CASE("PL061: the identification is that of the part", "[pl061]") {
  Board board;
  const std::array<std::uint32_t, 8> ids = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    board.set(0xfe0 + 4 * i, 0);
    CHECK(board.get(0xfe0 + 4 * i) == ids[i]);
  }
}

TEST_CASE("PL061: odd accesses touch what they cover and nothing else", "[pl061][hostile]") {
  Board board;
  board.set(kAfsel, 0xffff'ff5a);
  CHECK(board.get(kAfsel) == 0x5a);
  board.gpio.write(kDir, std::vector<std::byte>(1, std::byte{0xff}));
  CHECK(board.get(kDir) == 0xff);
  board.gpio.write(kDir + 1, std::vector<std::byte>(3, std::byte{0}));
  CHECK(board.get(kDir) == 0xff);
  board.gpio.write(kDir, std::vector<std::byte>(8, std::byte{1}));
  CHECK(board.get(kDir) == 1);
  CHECK(board.get(kIs) == 1);
  std::vector<std::byte> wide(0x2000, std::byte{0x77});
  board.gpio.read(0, wide);
  CHECK(wide[0x1000] == std::byte{0});
  board.gpio.read(~std::uint64_t{0} - 3, std::span(wide).first(4));
  CHECK(wide[0] == std::byte{0});
  const Pl061State before = board.gpio.state();
  for (const std::uint32_t line : {8u, 32u, ~0u}) board.gpio.set_input(line, true);
  for (const std::uint64_t offset : {kRis, kMis}) board.set(offset, 0xff);
  board.set(0x424, 0xff);
  CHECK(board.gpio.state() == before);
}

TEST_CASE("PL061: a restored controller goes on where the saved one was", "[pl061][state]") {
  Board board;
  board.set(kDir, 0xc0);
  board.set(kData, 0x80);
  board.set(kIs, 0x01);
  board.set(kIbe, 0x02);
  board.set(kIev, 0x04);
  board.set(kIe, 0x0f);
  board.set(kAfsel, 0x10);
  board.gpio.set_input(1, true);
  const Pl061State state = board.gpio.state();
  CHECK(state == Pl061State{.output = 0x80,
                            .dir = 0xc0,
                            .is = 0x01,
                            .ibe = 0x02,
                            .iev = 0x04,
                            .ie = 0x0f,
                            .afsel = 0x10,
                            .latched = 0x02,
                            .input = 0x02});
  Board other;
  REQUIRE(other.gpio.restore(state).has_value());
  CHECK(other.gpio.state() == state);
  CHECK(other.irq.level());
  CHECK(other.get(kRis) == 0x03);
  REQUIRE(other.gpio.restore({}).has_value());
  CHECK_FALSE(other.irq.level());
  const auto refused = other.gpio.restore({.is = 1, .latched = 3});
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error() == StateError::kInconsistent);
  CHECK(other.gpio.state() == Pl061State{});
}

}  // namespace
