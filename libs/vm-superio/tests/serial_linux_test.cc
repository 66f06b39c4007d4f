// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The sequences with which drivers find, start and use a 16550A.

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "vmm/vm_device/testing/recorders.h"
#include "vmm/vm_superio/serial_core.h"
#include "vmm/vm_superio/testing/fakes.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;

constexpr std::uint64_t kData = 0, kIer = 1, kIir = 2, kFcr = 2, kLcr = 3, kMcr = 4, kLsr = 5,
                        kMsr = 6, kScr = 7;

struct Chip {
  vm_device::testing::FakeLine irq;
  testing::StringSink sink;
  SerialCore uart{irq, sink};

  std::size_t type(std::string_view text) { return uart.enqueue(std::as_bytes(std::span(text))); }
  unsigned in(std::uint64_t offset) { return uart.read(offset); }
  void out(std::uint64_t offset, unsigned value) {
    uart.write(offset, static_cast<std::uint8_t>(value));
  }
};

TEST_CASE("a driver that probes finds a 16550A and no later chip", "[serial][linux]") {
  Chip chip;
  // There is a UART at all: IER keeps exactly its four bits.
  chip.out(kIer, 0);
  CHECK((chip.in(kIer) & 0x0f) == 0);
  chip.out(kIer, 0x0f);
  CHECK((chip.in(kIer) & 0x0f) == 0x0f);
  chip.out(kIer, 0);
  // Loopback ties the modem lines together.
  chip.out(kMcr, 0x1a);
  CHECK((chip.in(kMsr) & 0xf0) == 0x90);
  chip.out(kMcr, 0x08);
  // 8250 and 16450 lack the FIFO bits of IIR; a 16550 without A has one of them.
  chip.out(kLcr, 0);
  chip.out(kFcr, 0x01);
  CHECK(chip.in(kIir) >> 6 == 3);
  // 16650 and later: an enhanced feature register under DLAB, which reads 0 or can be written.
  chip.out(kLcr, 0x80);
  CHECK(chip.in(kIir) != 0);
  chip.out(kLcr, 0xbf);
  CHECK(chip.in(kIir) != 0);
  // A 16750 has a 64-byte bit in FCR, with DLAB set or without.
  chip.out(kLcr, 0);
  chip.out(kFcr, 0x21);
  CHECK((chip.in(kIir) >> 5 & 7) == 6);
  chip.out(kLcr, 0x80);
  chip.out(kFcr, 0x21);
  CHECK((chip.in(kIir) >> 5 & 7) == 6);
  // National's superio parts mirror MCR's loop bit in their second bank.
  chip.out(kLcr, 0);
  const unsigned mcr = chip.in(kMcr);
  chip.out(kLcr, 0xe0);
  CHECK((chip.in(2) & 0x10) == (mcr & 0x10));
  chip.out(kLcr, 0);
  chip.out(kMcr, mcr ^ 0x10);
  chip.out(kLcr, 0xe0);
  CHECK((chip.in(2) & 0x10) == (mcr & 0x10));
  chip.out(kLcr, 0);
  chip.out(kMcr, mcr);
  // XScale has a UART enable bit in IER.
  chip.out(kIer, 0x40);
  CHECK((chip.in(kIer) & 0x40) == 0);
  // The scratch register tells an 8250 from a 16450.
  chip.out(kScr, 0xa5);
  CHECK(chip.in(kScr) == 0xa5);
}

TEST_CASE("starting a port shows neither of the two known THRE bugs", "[serial][linux]") {
  Chip chip;
  chip.out(kFcr, 0x01);
  chip.out(kFcr, 0x07);
  chip.out(kFcr, 0x00);
  for (const std::uint64_t offset : {kLsr, kData, kIir, kMsr}) (void)chip.in(offset);
  CHECK(chip.in(kLsr) != 0xff);
  // The interrupt is asserted again when it is enabled again.
  chip.out(kIer, 0x02);
  const unsigned first = chip.in(kIir);
  chip.out(kIer, 0);
  chip.out(kIer, 0x02);
  const unsigned second = chip.in(kIir);
  chip.out(kIer, 0);
  CHECK((first & 1) == 0);
  CHECK((second & 1) == 0);
  // Enabling it with an idle transmitter raises it.
  chip.out(kIer, 0x02);
  const unsigned lsr = chip.in(kLsr);
  const unsigned iir = chip.in(kIir);
  chip.out(kIer, 0);
  CHECK_FALSE(((lsr & 0x40) != 0 && (iir & 1) != 0));
}

/// A console write as Linux does it: mask, poll and send each byte, wait until idle, unmask.
void console_write(Chip& chip, std::string_view text) {
  const unsigned ier = chip.in(kIer);
  chip.out(kIer, 0);
  for (const char c : text) {
    REQUIRE((chip.in(kLsr) & 0x20) != 0);
    chip.out(kData, static_cast<unsigned char>(c));
  }
  REQUIRE((chip.in(kLsr) & 0x60) == 0x60);
  chip.out(kIer, ier);
}

TEST_CASE("a console write is one write, also without an end of line", "[serial][linux]") {
  Chip chip;
  console_write(chip, "login: ");
  CHECK(chip.sink.writes == std::vector<std::string>{"login: "});
  console_write(chip, "[    0.000000] Linux version\r\n");
  CHECK(chip.sink.writes.size() == 2);
}

TEST_CASE("input typed during console writes is not lost", "[serial][linux]") {
  Chip chip;
  chip.out(kIer, 0x05);
  std::string received;
  for (int round = 0; round < 10; ++round) {
    const unsigned ier = chip.in(kIer);
    chip.out(kIer, 0);
    chip.type("cmd\r");  // arrives while the driver has everything masked
    chip.out(kData, '.');
    chip.out(kIer, ier);
    REQUIRE(chip.irq.level());
    while ((chip.in(kLsr) & 1) != 0) received.push_back(static_cast<char>(chip.in(kData)));
    CHECK_FALSE(chip.irq.level());
  }
  CHECK(received.size() == 40);
}

TEST_CASE("an interrupt-driven driver sends everything with one interrupt per FIFO",
          "[serial][linux]") {
  Chip chip;
  const std::string text(100, 'x');
  std::size_t sent = 0;
  int interrupts = 0;
  chip.out(kIer, 0x07);  // start: the transmitter is idle, so the interrupt comes at once
  while (chip.irq.level()) {
    REQUIRE(++interrupts < 20);
    while ((chip.in(kIir) & 0x3f) == 0x02) {
      for (int i = 0; i < 16 && sent < text.size(); ++i) {
        chip.out(kData, static_cast<unsigned char>(text[sent++]));
      }
      if (sent == text.size()) chip.out(kIer, 0x05);  // stop
    }
  }
  CHECK(chip.sink.text == text);
  CHECK(chip.sink.writes.size() == 1);
}

TEST_CASE("an edge-sensitive controller misses nothing that a handler leaves pending",
          "[serial][linux]") {
  vm_device::testing::FakeTrigger trigger;
  vm_device::EdgeLine edge(trigger);
  testing::StringSink sink;
  SerialCore uart(edge, sink);
  uart.write(kIer, 0x03);  // THR-empty at once
  CHECK(trigger.count() == 1);
  // The handler runs until IIR says that nothing is pending; input comes meanwhile.
  CHECK((uart.read(kIir) & 0x0f) == 0x02);
  const auto byte = std::byte{'x'};
  (void)uart.enqueue(std::span(&byte, 1));
  CHECK(trigger.count() == 2);
  CHECK((uart.read(kIir) & 0x0f) == 0x04);
  CHECK(uart.read(kData) == 'x');
  CHECK((uart.read(kIir) & 0x0f) == 0x01);
  (void)uart.enqueue(std::span(&byte, 1));
  CHECK(trigger.count() == 3);
}

}  // namespace
