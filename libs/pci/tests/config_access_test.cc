// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/config_access.h"

#include <catch2/catch.hpp>

#include "board.h"

namespace vmm::pci {
namespace {

constexpr std::uint32_t kEnable = 0x8000'0000;

/// A host bridge in slot 0 and a function in slot 1, reached through ports and memory.
struct Ways {
  explicit Ways(vm_device::IrqTrigger* reset = nullptr)
      : ports(board.segment, reset), ecam(board.segment) {
    (void)board.segment->add(make_host_bridge());
    function = board.add({kBar32});
  }
  void select(std::uint32_t address) { write(0, address, 4); }
  void write(std::uint64_t offset, std::uint64_t value, std::size_t bytes) {
    std::array<std::byte, 8> data{};
    store_le(data.data(), value);
    ports.write(offset, std::span(data).first(bytes));
  }
  std::uint64_t read(std::uint64_t offset, std::size_t bytes) {
    std::array<std::byte, 8> data{};
    ports.read(offset, std::span(data).first(bytes));
    return load_le<std::uint64_t>(data.data());
  }
  std::uint64_t read_ecam(std::uint64_t offset, std::size_t bytes) {
    std::array<std::byte, 8> data{};
    ecam.read(offset, std::span(data).first(bytes));
    return load_le<std::uint64_t>(data.data());
  }

  Board board;
  std::shared_ptr<TestFunction> function;
  ConfigPorts ports;
  Ecam ecam;
};

TEST_CASE("the ports reach each register with each width", "[ports]") {
  Ways ways;
  struct Case {
    std::uint32_t address;
    std::uint64_t port;  // from 0xcf8
    std::size_t bytes;
    std::uint64_t value;
  };
  constexpr std::uint32_t kSlot1 = kEnable | 1 << 11;
  for (const Case& c : {
           Case{kEnable, 4, 4, 0x0d57'8086},
           Case{kEnable, 4, 2, 0x8086},
           Case{kEnable, 6, 2, 0x0d57},
           Case{kEnable, 5, 1, 0x80},
           Case{kEnable, 7, 1, 0x0d},
           Case{kEnable, 5, 2, 0x5780},
           Case{kEnable | 3, 4, 4, 0x0d57'8086},  // the two lowest bits are not there
           Case{kEnable | 8, 7, 1, 0x06},
           Case{kSlot1, 4, 4, 0x5678'1234},
           Case{kSlot1 | 0xfc, 4, 4, 0},
           Case{kSlot1 | 0xfc, 7, 1, 0},
           Case{kSlot1 | 0x0f00'0000, 4, 4, 0x5678'1234},  // reserved
           // Nothing is there, or nothing answers.
           Case{kEnable | 2 << 11, 4, 4, 0xffff'ffff},
           Case{kEnable | 2 << 11, 5, 1, 0xff},
           Case{kEnable | 1 << 8, 4, 4, 0xffff'ffff},   // function 1
           Case{kEnable | 1 << 16, 4, 4, 0xffff'ffff},  // bus 1
           Case{kEnable | 0xff << 16, 4, 2, 0xffff},
           Case{0, 4, 4, 0xffff'ffff},  // not enabled
           Case{1 << 11, 4, 4, 0xffff'ffff},
           // Across the end of the data register.
           Case{kEnable, 5, 4, 0xffff'ffff},
           Case{kEnable, 6, 4, 0xffff'ffff},
           Case{kEnable, 7, 2, 0xffff},
           Case{kEnable, 4, 8, ~std::uint64_t{0}},
           Case{kEnable, 8, 1, 0xff},
           // Across the two registers.
           Case{kEnable, 2, 4, 0xffff'ffff},
           Case{kEnable, 3, 2, 0xffff},
       }) {
    ways.select(c.address);
    CAPTURE(c.address, c.port, c.bytes);
    CHECK(ways.read(c.port, c.bytes) == c.value);
  }
}

TEST_CASE("writes through the ports go where reads go", "[ports][hostile]") {
  Ways ways;
  const auto bar = [&] { return ways.board.config<std::uint32_t>(*ways.function, kBar0); };
  ways.select(kEnable | 1 << 11 | kBar0);
  ways.write(4, 0xc123'4000, 4);
  CHECK(bar() == 0xc123'4000);
  ways.write(5, 0x50, 1);
  CHECK(bar() == 0xc123'5000);
  ways.write(6, 0xc7ff, 2);
  CHECK(bar() == 0xc7ff'5000);
  for (const std::uint64_t port : {5u, 6u, 7u}) ways.write(port, 0, 4);
  ways.write(7, 0, 2);
  ways.write(4, 0, 8);
  ways.write(8, 0, 1);
  ways.write(2, 0, 4);
  ways.select(1 << 11 | kBar0);
  ways.write(4, 0, 4);
  ways.select(kEnable | 1 << 16 | 1 << 11 | kBar0);
  ways.write(4, 0, 4);
  CHECK(bar() == 0xc7ff'5000);
}

TEST_CASE("the address register takes whole words only", "[ports]") {
  Ways ways;
  ways.select(0xffff'ffff);
  CHECK(ways.read(0, 4) == 0x80ff'fffc);
  for (const std::size_t bytes : {1u, 2u, 3u}) ways.write(0, 0, bytes);
  ways.write(3, 0x01, 1);  // how Linux looks for the other mechanism
  ways.write(2, 0, 2);
  CHECK(ways.read(0, 4) == 0x80ff'fffc);
  CHECK(ways.read(2, 2) == 0x80ff);
  ways.select(kEnable);
  CHECK(ways.read(0, 4) == kEnable);
}

TEST_CASE("the reset register resets by its own bit, and reads back what kind", "[ports]") {
  vm_device::testing::FakeTrigger reset;
  Ways ways(&reset);
  ways.select(kEnable | 0xff00);  // does not show through
  CHECK(ways.read(1, 1) == 0);
  ways.write(1, 0x02, 1);
  CHECK(ways.read(1, 1) == 0x02);
  CHECK(reset.count() == 0);
  ways.write(1, 0x06, 1);
  CHECK(reset.count() == 1);
  ways.write(1, 0x06, 2);
  ways.write(2, 0x06, 1);
  CHECK(reset.count() == 1);
  Ways without;
  without.write(1, 0x06, 1);
}

TEST_CASE("memory-mapped configuration space has a page for each function", "[ecam]") {
  Ways ways;
  struct Case {
    std::uint64_t offset;
    std::size_t bytes;
    std::uint64_t value;
  };
  for (const Case& c : {
           Case{0, 4, 0x0d57'8086},
           Case{1, 1, 0x80},
           Case{1, 4, 0x000d'5780},  // any alignment
           Case{0, 8, 0x0000'0000'0d57'8086},
           Case{0xff, 1, 0},
           Case{0x100, 4, 0xffff'ffff},  // the host bridge has 256 bytes
           Case{0x8000, 4, 0x5678'1234},
           Case{0x8100, 4, 0},
           Case{0x8ffc, 4, 0},
           Case{0x8fff, 2, 0xffff},  // across the end of a function
           Case{0x8ffc, 8, ~std::uint64_t{0}},
           Case{0x9000, 4, 0xffff'ffff},  // function 1
           Case{0x1'0000, 4, 0xffff'ffff},
           Case{Segment::kEcamBytes - 4, 4, 0xffff'ffff},
           Case{Segment::kEcamBytes, 4, 0xffff'ffff},
           Case{~std::uint64_t{0}, 1, 0xff},
       }) {
    CAPTURE(c.offset, c.bytes);
    CHECK(ways.read_ecam(c.offset, c.bytes) == c.value);
  }
  std::array<std::byte, 4> data{};
  store_le(data.data(), std::uint32_t{0xc123'4000});
  ways.ecam.write(0x8010, data);
  CHECK(ways.board.config<std::uint32_t>(*ways.function, kBar0) == 0xc123'4000);
  for (const std::uint64_t at : {std::uint64_t{0x8ffe}, Segment::kEcamBytes + 0x8010,
                                 std::uint64_t{0x9010}, ~std::uint64_t{0}}) {
    ways.ecam.write(at, data);
  }
  CHECK(ways.board.config<std::uint32_t>(*ways.function, kBar0) == 0xc123'4000);
}

TEST_CASE("after the segment's end nothing answers", "[ecam][ports]") {
  Ways ways;
  ways.select(kEnable);
  ways.function.reset();
  ways.board.segment.reset();
  CHECK(ways.read(4, 4) == 0xffff'ffff);
  ways.write(4, 0, 4);
  CHECK(ways.read_ecam(0, 4) == 0xffff'ffff);
  std::array<std::byte, 4> data{};
  ways.ecam.write(0x10, data);
  CHECK(ways.read(0, 4) == kEnable);
}

TEST_CASE("the host bridge is what systems look for", "[ecam]") {
  Ways ways;
  CHECK(ways.read_ecam(kRevision, 4) == 0x0600'0000);
  CHECK(ways.read_ecam(kHeaderType, 1) == 0);
  CHECK(ways.read_ecam(kCapabilities, 1) == 0);
  std::array<std::byte, 4> ones{};
  ones.fill(std::byte{0xff});
  for (std::uint64_t at = kBar0; at < 0x28; at += 4) {
    ways.ecam.write(at, ones);
    CHECK(ways.read_ecam(at, 4) == 0);
  }
}

}  // namespace
}  // namespace vmm::pci
