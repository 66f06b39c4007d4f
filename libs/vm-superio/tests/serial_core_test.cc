// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/serial_core.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

constexpr std::uint64_t kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5,
                        kMsr = 6, kScr = 7;
constexpr std::uint8_t kLoop = 0x10, kDlab = 0x80;

struct Chip {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  SerialCore uart{irq, sink};

  std::size_t type(std::string_view text) { return uart.enqueue(std::as_bytes(std::span(text))); }
  std::uint8_t read(std::uint64_t offset) { return uart.read(offset); }
  void write(std::uint64_t offset, unsigned value) {
    uart.write(offset, static_cast<std::uint8_t>(value));
  }
};

TEST_CASE("the registers have their reset values", "[serial]") {
  struct Case {
    std::uint64_t offset;
    std::uint8_t value;
  };
  const std::vector<Case> cases = {{kData, 0},   {kIer, 0},    {kIir, 0xc1}, {kLcr, 0x03},
                                   {kMcr, 0x08}, {kLsr, 0x60}, {kMsr, 0xb0}, {kScr, 0},
                                   {8, 0},       {0xffff, 0}};
  Chip chip;
  for (const Case& c : cases) {
    CAPTURE(c.offset);
    CHECK(chip.read(c.offset) == c.value);
  }
  chip.write(kLcr, kDlab);
  CHECK(chip.read(0) == 0x0c);
  CHECK(chip.read(1) == 0x00);
  CHECK_FALSE(chip.irq.level());
}

TEST_CASE("registers keep what the chip implements of what is written", "[serial]") {
  struct Case {
    std::uint64_t offset;
    std::uint8_t written, read;
  };
  const auto c = GENERATE(values<Case>({
      {kIer, 0x0d, 0x0d},
      {kIer, 0xf1, 0x01},
      {kLcr, 0x7f, 0x7f},
      {kLcr, 0x1b, 0x1b},
      {kMcr, 0xff, 0x1f},
      {kMcr, 0x0b, 0x0b},
      {kLsr, 0x00, 0x60},
      {kLsr, 0xff, 0x60},
      {kMsr, 0x00, 0xb0},
      {kMsr, 0xff, 0xb0},
      {kScr, 0xae, 0xae},
      {8, 0xff, 0x00},
  }));
  CAPTURE(c.offset, c.written);
  Chip chip;
  chip.write(c.offset, c.written);
  CHECK(chip.read(c.offset) == c.read);
}

TEST_CASE("DLAB maps the divisor over the first two registers and nothing else", "[serial]") {
  Chip chip;
  chip.write(kIer, 0x04);
  chip.type("x");
  chip.write(kLcr, kDlab | 0x03);
  chip.write(0, 0x34);
  chip.write(1, 0x12);
  CHECK(chip.read(0) == 0x34);
  CHECK(chip.read(1) == 0x12);
  CHECK(chip.read(kLcr) == 0x83);
  CHECK(chip.read(kLsr) == 0x61);
  CHECK(chip.sink.text.empty());
  chip.write(kLcr, 0x03);
  CHECK(chip.read(kIer) == 0x04);
  CHECK(chip.read(kData) == 'x');
}

TEST_CASE("received bytes are read in order and show in LSR", "[serial]") {
  Chip chip;
  CHECK(chip.type("abc") == 3);
  for (const char expected : {'a', 'b', 'c'}) {
    CHECK(chip.read(kLsr) == 0x61);
    CHECK(chip.read(kData) == expected);
  }
  CHECK(chip.read(kLsr) == 0x60);
  CHECK(chip.read(kData) == 0);  // empty
}

TEST_CASE("input stops at 64 bytes and goes on when there is room", "[serial][hostile]") {
  Chip chip;
  CHECK(chip.type("") == 0);
  CHECK(chip.uart.space() == 64);
  CHECK(chip.type(std::string(65, 'a')) == 64);
  CHECK(chip.type("") == 0);
  CHECK(chip.type("b") == 0);
  CHECK(chip.uart.space() == 0);
  CHECK(chip.read(kLsr) == 0x61);  // refused, not overrun
  CHECK(chip.read(kData) == 'a');
  CHECK(chip.type("bc") == 1);
  CHECK(chip.uart.queued() == 64);
  for (int i = 0; i < 63; ++i) CHECK(chip.read(kData) == 'a');
  CHECK(chip.read(kData) == 'b');
  CHECK(chip.uart.queued() == 0);
}

TEST_CASE("a guest that floods its own input in loopback stays within the FIFO",
          "[serial][hostile]") {
  Chip chip;
  chip.write(kMcr, kLoop);
  for (int i = 0; i < 100'000; ++i) chip.write(kData, i & 0xff);
  CHECK(chip.uart.queued() == 64);
  CHECK(chip.sink.text.empty());
  CHECK(chip.read(kLsr) == 0x63);  // overrun, shown once
  CHECK(chip.read(kLsr) == 0x61);
  for (int i = 0; i < 64; ++i) CHECK(chip.read(kData) == i);
  CHECK(chip.read(kLsr) == 0x60);
}

TEST_CASE("loopback cuts the line off and turns the modem outputs around", "[serial]") {
  struct Case {
    std::uint8_t mcr, msr_inputs;
  };
  const auto c = GENERATE(values<Case>({{0x10, 0x00},
                                        {0x11, 0x20},  // DTR to DSR
                                        {0x12, 0x10},  // RTS to CTS
                                        {0x14, 0x40},  // OUT1 to RI
                                        {0x18, 0x80},  // OUT2 to DCD
                                        {0x1a, 0x90},  // Linux's probe
                                        {0x1f, 0xf0}}));
  CAPTURE(c.mcr);
  Chip chip;
  chip.write(kMcr, c.mcr);
  CHECK((chip.read(kMsr) & 0xf0) == c.msr_inputs);
  CHECK(chip.uart.space() == 0);
  CHECK(chip.type("x") == 0);
  chip.write(kData, 0x5a);
  CHECK(chip.read(kData) == 0x5a);
  chip.write(kMcr, 0x0b);
  CHECK((chip.read(kMsr) & 0xf0) == 0xb0);
  CHECK(chip.type("x") == 1);
}

TEST_CASE("MSR reports changes once, and the ring only at its end", "[serial]") {
  Chip chip;
  chip.write(kMcr, kLoop | 0x04);  // from DCD, DSR, CTS to RI
  CHECK(chip.read(kMsr) == 0x4b);  // each of the three changed; RI began
  CHECK(chip.read(kMsr) == 0x40);
  chip.write(kMcr, kLoop);
  CHECK(chip.read(kMsr) == 0x04);  // RI ended
  chip.write(kMcr, 0);
  CHECK(chip.read(kMsr) == 0xbb);
  CHECK(chip.read(kMsr) == 0xb0);
}

TEST_CASE("FCR switches the FIFOs on and off and resets the input", "[serial]") {
  struct Case {
    const char* name;
    std::uint8_t fcr;
    std::size_t left;
    std::uint8_t iir;
  };
  const auto c = GENERATE(values<Case>({
      {"nothing", 0x01, 3, 0xc1},
      {"reset input", 0x03, 0, 0xc1},
      {"reset output", 0x05, 3, 0xc1},
      {"off", 0x00, 0, 0x01},
      {"off, other bits do not count", 0xc2, 0, 0x01},
      {"trigger level", 0xc1, 3, 0xc1},
  }));
  CAPTURE(c.name);
  Chip chip;
  chip.type("abc");
  chip.write(kFcr, c.fcr);
  CHECK(chip.uart.queued() == c.left);
  CHECK(chip.read(kIir) == c.iir);
  CHECK((chip.read(kLsr) & 1) == (c.left != 0 ? 1 : 0));
}

TEST_CASE("IIR names the enabled condition of highest priority", "[serial]") {
  // All four conditions hold; each IER value enables some.
  struct Case {
    std::uint8_t ier, iir;
  };
  const auto c = GENERATE(values<Case>({
      {0x00, 0xc1},
      {0x01, 0xc4},
      {0x02, 0xc2},
      {0x03, 0xc4},
      {0x04, 0xc6},
      {0x05, 0xc6},
      {0x06, 0xc6},
      {0x07, 0xc6},
      {0x08, 0xc0},
      {0x09, 0xc4},
      {0x0a, 0xc2},
      {0x0b, 0xc4},
      {0x0c, 0xc6},
      {0x0d, 0xc6},
      {0x0e, 0xc6},
      {0x0f, 0xc6},
  }));
  CAPTURE(static_cast<int>(c.ier));
  Chip chip;
  chip.write(kMcr, kLoop);                              // modem status, and
  for (int i = 0; i < 65; ++i) chip.write(kData, 'x');  // data and an overrun
  chip.write(kIer, c.ier);
  CHECK(chip.irq.level() == (c.ier != 0));
  CHECK(chip.read(kIir) == c.iir);
}

TEST_CASE("each interrupt goes when its cause is served, and the next one shows", "[serial]") {
  Chip chip;
  chip.write(kMcr, kLoop);
  for (int i = 0; i < 65; ++i) chip.write(kData, 'x');
  chip.write(kIer, 0x0f);
  CHECK(chip.read(kIir) == 0xc6);
  CHECK(chip.read(kIir) == 0xc6);  // reading IIR serves only THR-empty
  (void)chip.read(kLsr);
  CHECK(chip.read(kIir) == 0xc4);
  for (int i = 0; i < 64; ++i) (void)chip.read(kData);
  CHECK(chip.read(kIir) == 0xc2);
  CHECK(chip.read(kIir) == 0xc0);
  CHECK(chip.irq.level());
  (void)chip.read(kMsr);
  CHECK(chip.read(kIir) == 0xc1);
  CHECK_FALSE(chip.irq.level());
}

TEST_CASE("input below the trigger level shows as a character timeout", "[serial]") {
  struct Case {
    std::uint8_t fcr;
    std::size_t level;
  };
  const auto c = GENERATE(values<Case>({{0x01, 1}, {0x41, 4}, {0x81, 8}, {0xc1, 14}}));
  CAPTURE(c.level);
  Chip chip;
  chip.write(kFcr, c.fcr);
  chip.write(kIer, 0x01);
  for (std::size_t n = 1; n <= 16; ++n) {
    chip.type("x");
    CHECK(chip.irq.level());
    CHECK(chip.read(kIir) == (n >= c.level ? 0xc4 : 0xcc));
  }
  chip.write(kIer, 0x03);
  CHECK(chip.read(kIir) == (16 >= c.level ? 0xc4 : 0xcc));  // both rank above THR-empty
}

TEST_CASE("the line follows IER: input that came while masked is signalled when unmasked",
          "[serial]") {
  Chip chip;
  chip.write(kIer, 0x01);
  chip.write(kIer, 0x00);
  chip.type("ls\r");
  CHECK_FALSE(chip.irq.level());
  CHECK(chip.read(kIir) == 0xc1);
  chip.write(kIer, 0x05);
  CHECK(chip.irq.level());
  chip.write(kIer, 0x00);
  CHECK_FALSE(chip.irq.level());
  chip.write(kIer, 0x05);
  CHECK(chip.irq.rises() == 2);
  (void)chip.read(kData);
  (void)chip.read(kData);
  CHECK(chip.irq.level());  // one byte is left
  (void)chip.read(kData);
  CHECK_FALSE(chip.irq.level());
}

TEST_CASE("THR-empty: raised by enabling and by sending, acknowledged by IIR, not by masking",
          "[serial]") {
  Chip chip;
  chip.write(kIer, 0x02);
  CHECK(chip.irq.level());
  CHECK(chip.read(kIir) == 0xc2);
  CHECK_FALSE(chip.irq.level());
  CHECK(chip.read(kIir) == 0xc1);
  chip.write(kIer, 0x02);  // no change: stays acknowledged
  CHECK(chip.read(kIir) == 0xc1);
  chip.write(kIer, 0x00);
  chip.write(kIer, 0x02);  // enabled anew
  CHECK(chip.read(kIir) == 0xc2);
  chip.write(kData, 'a');
  CHECK(chip.irq.level());
  CHECK(chip.read(kIir) == 0xc2);
  CHECK(chip.read(kLsr) == 0x60);
}

TEST_CASE("the interrupt line is called only when its level changes", "[serial]") {
  Chip chip;
  chip.write(kIer, 0x03);
  const std::size_t calls = chip.irq.calls();
  for (int i = 0; i < 10; ++i) {
    chip.type("x");
    chip.write(kData, 'y');
  }
  CHECK(chip.irq.calls() == calls);
}

TEST_CASE("output reaches the sink a line at a time", "[serial]") {
  Chip chip;
  for (const char c : std::string("one\ntwo")) chip.write(kData, static_cast<unsigned>(c));
  CHECK(chip.sink.writes == std::vector<std::string>{"one\n"});

  SECTION("the rest when IER is written") {
    chip.write(kIer, 0);
    CHECK(chip.sink.text == "one\ntwo");
  }
  SECTION("the rest when the guest polls without sending") {
    for (int i = 0; i < 7; ++i) (void)chip.read(kLsr);
    CHECK(chip.sink.text == "one\n");
    (void)chip.read(kLsr);
    CHECK(chip.sink.text == "one\ntwo");
  }
  SECTION("but not while it polls between bytes") {
    for (int i = 0; i < 20; ++i) {
      for (int k = 0; k < 3; ++k) (void)chip.read(kLsr);
      chip.write(kData, '.');
    }
    CHECK(chip.sink.writes.size() == 1);
  }
  SECTION("the rest on flush") {
    chip.uart.flush();
    chip.uart.flush();
    CHECK(chip.sink.writes == std::vector<std::string>{"one\n", "two"});
  }
  SECTION("in pieces of 256 bytes when there is no end of line") {
    for (int i = 0; i < 1000; ++i) chip.write(kData, 'x');
    CHECK(chip.sink.text.size() == 4 + 3 * 256);
    for (const auto& write : chip.sink.writes) CHECK(write.size() <= 256);
  }
}

TEST_CASE("output that the sink refuses is counted and the guest goes on", "[serial][hostile]") {
  Chip chip;
  chip.write(kIer, 0x02);
  (void)chip.read(kIir);
  chip.sink.room = 2;
  for (const char c : std::string("abcd\n")) chip.write(kData, static_cast<unsigned>(c));
  CHECK(chip.sink.text == "ab");
  CHECK(chip.uart.lost_bytes() == 3);
  CHECK(chip.read(kLsr) == 0x60);
  CHECK(chip.read(kIir) == 0xc2);  // sent as far as the guest can see
}

}  // namespace
