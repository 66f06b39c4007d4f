// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/pl011.h"

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "stalled_sink.h"
#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

constexpr std::uint64_t kDr = 0x00, kRsr = 0x04, kFr = 0x18, kLcrH = 0x2c, kCr = 0x30, kIfls = 0x34,
                        kImsc = 0x38, kRis = 0x3c, kMis = 0x40, kIcr = 0x44;
constexpr std::uint32_t kRx = 1 << 4, kTx = 1 << 5, kTimeout = 1 << 6, kOverrun = 1 << 10;
constexpr std::uint32_t kLoopback = 1 << 7, kFifos = 1 << 4;
constexpr std::uint32_t kRxEmpty = 1 << 4, kRxFull = 1 << 6, kTxEmpty = 1 << 7;

struct Chip {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  testing::CountingListener listener;
  Pl011 uart{irq, sink, &listener};

  std::size_t type(std::string_view text) { return uart.enqueue(std::as_bytes(std::span(text))); }
  std::uint32_t in(std::uint64_t offset) {
    std::array<std::byte, 4> data{};
    uart.read(offset, data);
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= std::to_integer<std::uint32_t>(data[i]) << 8 * i;
    return value;
  }
  void out(std::uint64_t offset, std::uint32_t value) {
    std::array<std::byte, 4> data{};
    for (std::size_t i = 0; i < 4; ++i) data[i] = static_cast<std::byte>(value >> 8 * i & 0xff);
    uart.write(offset, data);
  }
};

TEST_CASE("who may not wait is told that the sink makes a vCPU wait", "[pl011]") {
  vm_device::testing::FakeLine irq;
  StalledSink sink;
  Pl011 uart(irq, sink);
  const std::array input{std::byte{'x'}};
  CHECK(uart.try_space() == Pl011::kFifoSize);
  std::thread vcpu([&] {
    const std::array line{std::byte{'\n'}, std::byte{0}, std::byte{0}, std::byte{0}};
    uart.write(kDr, line);
  });
  sink.wait();
  CHECK_FALSE(uart.try_space());
  CHECK_FALSE(uart.try_enqueue(input));
  sink.go_on();
  vcpu.join();
  CHECK(uart.try_enqueue(input) == 1u);
  CHECK(uart.try_space() == Pl011::kFifoSize - 1);
}

TEST_CASE("PL011: registers have reset values and keep their implemented bits", "[pl011]") {
  struct Case {
    std::uint64_t offset;
    std::uint32_t reset, kept;
  };
  const auto c = GENERATE(values<Case>({
      {kRsr, 0, 0},
      {kFr, 0x97, 0x97},
      {0x20, 0, 0xff},
      {0x24, 0, 0xffff},
      {0x28, 0, 0x3f},
      {kLcrH, 0, 0xff},
      {kIfls, 0x12, 0x3f},
      {kImsc, 0, 0x7ff},
      {kRis, 0, 0},
      {kMis, 0, 0},
      {kIcr, 0, 0},
      {0x48, 0, 0x7},
      {0x4c, 0, 0},
      {0x80, 0, 0},
      {0xfdc, 0, 0},
  }));
  CAPTURE(c.offset);
  Chip chip;
  CHECK(chip.in(c.offset) == c.reset);
  chip.out(c.offset, 0xffff'ffff);
  CHECK(chip.in(c.offset) == c.kept);
}

TEST_CASE("PL011: the control register and the identification", "[pl011]") {
  Chip chip;
  CHECK(chip.in(kCr) == 0x300);
  chip.out(kCr, 0xffff'f301);
  CHECK(chip.in(kCr) == 0xf301);
  const std::array<unsigned, 8> ids = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};
  for (std::size_t i = 0; i < ids.size(); ++i) CHECK(chip.in(0xfe0 + 4 * i) == ids[i]);
}

TEST_CASE("PL011: input is bounded, ordered and shows in the flags", "[pl011][hostile]") {
  Chip chip;
  CHECK((chip.in(kFr) & (kRxEmpty | kRxFull)) == kRxEmpty);
  CHECK(chip.in(kDr) == 0);
  CHECK(chip.type("0123456789abcdefg") == 16);
  CHECK((chip.in(kFr) & (kRxEmpty | kRxFull)) == kRxFull);
  CHECK(chip.uart.space() == 0);
  for (const char expected : std::string("0123456789abcdef")) {
    CHECK(chip.listener.count == 0);
    CHECK(chip.in(kDr) == static_cast<unsigned>(expected));
  }
  CHECK(chip.listener.count == 1);
  CHECK((chip.in(kFr) & (kRxEmpty | kRxFull)) == kRxEmpty);
}

TEST_CASE("PL011: receive interrupt from the level on, timeout below it", "[pl011]") {
  struct Case {
    std::uint32_t lcr_h, ifls;
    std::size_t level;
  };
  const auto c = GENERATE(values<Case>({{kFifos, 0 << 3, 2},
                                        {kFifos, 1 << 3, 4},
                                        {kFifos, 2 << 3, 8},
                                        {kFifos, 3 << 3, 12},
                                        {kFifos, 4 << 3, 14},
                                        {0, 2 << 3, 1}}));
  CAPTURE(c.level);
  Chip chip;
  chip.out(kLcrH, c.lcr_h);
  chip.out(kIfls, c.ifls);
  chip.out(kImsc, kRx | kTimeout);
  for (std::size_t n = 1; n <= 16; ++n) {
    chip.type("x");
    CHECK(chip.in(kRis) == (n >= c.level ? kRx : kTimeout));
    CHECK(chip.irq.level());
  }
  for (int i = 0; i < 16; ++i) (void)chip.in(kDr);
  CHECK(chip.in(kRis) == 0);
  CHECK_FALSE(chip.irq.level());
}

TEST_CASE("PL011: unread input is signalled again after masking and clearing", "[pl011]") {
  Chip chip;
  chip.out(kLcrH, kFifos);
  chip.out(kImsc, kRx | kTimeout);
  chip.out(kImsc, 0);
  chip.type("ls\r");
  CHECK_FALSE(chip.irq.level());
  CHECK(chip.in(kMis) == 0);
  chip.out(kIcr, 0x7ff);
  chip.out(kImsc, kRx | kTimeout);
  CHECK(chip.irq.level());
  CHECK(chip.in(kMis) == kTimeout);
}

TEST_CASE("PL011: the transmit interrupt comes with sending and goes with UARTICR", "[pl011]") {
  Chip chip;
  chip.out(kImsc, kTx);
  CHECK_FALSE(chip.irq.level());  // nothing has been sent yet
  chip.out(kDr, 'a');
  CHECK(chip.in(kMis) == kTx);
  CHECK(chip.irq.level());
  chip.out(kIcr, kTx);
  CHECK_FALSE(chip.irq.level());
  chip.out(kDr, 'b');
  CHECK(chip.irq.level());
  CHECK((chip.in(kFr)&kTxEmpty) != 0);
}

TEST_CASE("PL011: loopback stays within the FIFO and reports overrun", "[pl011][hostile]") {
  Chip chip;
  chip.out(kLcrH, kFifos);
  chip.out(kImsc, kOverrun);
  chip.out(kCr, kLoopback | 0x301);
  CHECK(chip.type("x") == 0);
  CHECK(chip.uart.space() == 0);
  for (std::uint32_t i = 0; i < 10'000; ++i) chip.out(kDr, i);
  CHECK(chip.sink.text.empty());
  CHECK(chip.irq.level());
  CHECK(chip.in(kRsr) == 8);
  chip.out(kRsr, 0);
  CHECK(chip.in(kRsr) == 0);
  chip.out(kIcr, kOverrun);
  CHECK_FALSE(chip.irq.level());
  for (std::uint32_t i = 0; i < 16; ++i) CHECK(chip.in(kDr) == i);
  CHECK(chip.in(kDr) == 0);
  const int told = chip.listener.count;
  chip.out(kCr, 0x301);
  CHECK(chip.listener.count == told + 1);
}

TEST_CASE("PL011: loopback turns the modem outputs around", "[pl011]") {
  struct Case {
    std::uint32_t cr, fr;
  };
  const auto c = GENERATE(values<Case>(
      {{0, 0}, {1 << 11, 1 << 0}, {1 << 10, 1 << 1}, {1 << 12, 1 << 2}, {1 << 13, 1 << 8}}));
  Chip chip;
  chip.out(kCr, kLoopback | c.cr);
  CHECK((chip.in(kFr) & 0x107) == c.fr);
}

TEST_CASE("PL011: switching the FIFOs off drops the input", "[pl011]") {
  Chip chip;
  chip.out(kLcrH, kFifos | 0x60);
  chip.type("abc");
  chip.out(kLcrH, kFifos);
  CHECK(chip.in(kDr) == 'a');
  chip.out(kLcrH, 0);
  CHECK((chip.in(kFr)&kRxEmpty) != 0);
  CHECK(chip.in(kRis) == 0);
}

TEST_CASE("PL011: output is written by the line, and at the end of a burst", "[pl011]") {
  Chip chip;
  for (const char c : std::string("one\ntwo")) {
    (void)chip.in(kFr);  // a polling driver looks twice for each byte
    chip.out(kDr, static_cast<unsigned>(c));
    (void)chip.in(kFr);
  }
  CHECK(chip.sink.writes == std::vector<std::string>{"one\n"});
  SECTION("console write restores UARTCR") { chip.out(kCr, 0x301); }
  SECTION("tty masks the interrupt") { chip.out(kImsc, 0); }
  SECTION("a polling guest waits") {
    for (int i = 0; i < 8; ++i) (void)chip.in(kFr);
  }
  SECTION("flush") { chip.uart.flush(); }
  CHECK(chip.sink.text == "one\ntwo");
  CHECK(chip.uart.lost_bytes() == 0);
}

TEST_CASE("PL011: bytes may be written with any access width", "[pl011]") {
  Chip chip;
  const std::array byte = {std::byte{'a'}};
  const std::array half = {std::byte{'b'}, std::byte{0}};
  const std::array wide = {std::byte{'c'}, std::byte{0}, std::byte{0}, std::byte{0},
                           std::byte{0},   std::byte{0}, std::byte{0}, std::byte{0}};
  chip.uart.write(kDr, byte);
  chip.uart.write(kDr, half);
  chip.uart.write(kDr, wide);
  chip.uart.flush();
  CHECK(chip.sink.text == "abc");
}

TEST_CASE("PL011: a saved port goes on where it was", "[pl011][state]") {
  Chip chip;
  chip.out(kLcrH, kFifos);
  chip.type("0123456789");
  for (int i = 0; i < 10; ++i) (void)chip.in(kDr);
  chip.type("wraps around");
  chip.out(kImsc, kRx | kTimeout | kTx);
  chip.out(kDr, 'x');
  chip.out(0x24, 13);

  const Pl011State state = chip.uart.state();
  Chip other;
  REQUIRE(other.uart.restore(state));
  CHECK(other.uart.state() == state);
  CHECK(other.irq.level());
  CHECK(other.in(0x24) == 13);
  for (const char expected : std::string("wraps around")) {
    CHECK(other.in(kDr) == static_cast<unsigned>(expected));
  }
}

TEST_CASE("PL011: a state that no port can be in is refused", "[pl011][state][hostile]") {
  struct Case {
    const char* name;
    void (*spoil)(Pl011State&);
    StateError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"input", [](Pl011State& s) { s.input_size = 17; }, StateError::kTooMuchInput},
      {"ILPR", [](Pl011State& s) { s.ilpr = 0x100; }, StateError::kReservedBits},
      {"IBRD", [](Pl011State& s) { s.ibrd = 0x10000; }, StateError::kReservedBits},
      {"FBRD", [](Pl011State& s) { s.fbrd = 0x40; }, StateError::kReservedBits},
      {"LCR_H", [](Pl011State& s) { s.lcr_h = 0x100; }, StateError::kReservedBits},
      {"CR", [](Pl011State& s) { s.cr = 0x10000; }, StateError::kReservedBits},
      {"IFLS", [](Pl011State& s) { s.ifls = 0x40; }, StateError::kReservedBits},
      {"IMSC", [](Pl011State& s) { s.imsc = 0x800; }, StateError::kReservedBits},
      {"latched", [](Pl011State& s) { s.latched = 0x10; }, StateError::kReservedBits},
      {"overrun", [](Pl011State& s) { s.overrun = 2; }, StateError::kReservedBits},
      {"DMACR", [](Pl011State& s) { s.dmacr = 8; }, StateError::kReservedBits},
  }));
  CAPTURE(c.name);
  Chip chip;
  const Pl011State before = chip.uart.state();
  Pl011State state = before;
  c.spoil(state);
  const auto result = chip.uart.restore(state);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error() == c.expected);
  CHECK(chip.uart.state() == before);
}

}  // namespace
