// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/ioapic.h"

#include <array>
#include <catch2/catch.hpp>
#include <map>
#include <optional>
#include <vector>

#include "vmm/vm_device/testing/recorders.h"

namespace {

using namespace vmm;
using namespace vmm::vm_superio;
using vm_device::MsiMessage;

constexpr std::uint64_t kLogical = 1 << 11, kActiveLow = 1 << 13, kRemoteIrr = 1 << 14,
                        kLevel = 1 << 15, kMasked = 1 << 16;
constexpr std::uint64_t destination(std::uint64_t id) { return id << 56; }

class Routes final : public IoapicRouteListener {
 public:
  void route_changed(std::uint32_t pin, const std::optional<MsiMessage>& message) override {
    now[pin] = message;
    ++changes;
  }
  std::map<std::uint32_t, std::optional<MsiMessage>> now;
  int changes = 0;
};

struct Chip {
  vm_device::testing::FakeMsi msi;
  Routes routes;
  Ioapic ioapic{msi, &routes};

  void raw_write(std::uint64_t offset, std::uint32_t value) {
    std::array<std::byte, 4> data{};
    for (std::size_t i = 0; i < 4; ++i) data[i] = static_cast<std::byte>(value >> 8 * i & 0xff);
    ioapic.write(offset, data);
  }
  std::uint32_t raw_read(std::uint64_t offset) {
    std::array<std::byte, 4> data{};
    ioapic.read(offset, data);
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value |= std::to_integer<std::uint32_t>(data[i]) << 8 * i;
    return value;
  }
  std::uint32_t get(unsigned index) {
    raw_write(0, index);
    return raw_read(0x10);
  }
  void set(unsigned index, std::uint32_t value) {
    raw_write(0, index);
    raw_write(0x10, value);
  }
  std::uint64_t entry(unsigned pin) {
    return get(0x10 + 2 * pin) | std::uint64_t{get(0x11 + 2 * pin)} << 32;
  }
  void program(unsigned pin, std::uint64_t entry) {
    set(0x11 + 2 * pin, static_cast<std::uint32_t>(entry >> 32));
    set(0x10 + 2 * pin, static_cast<std::uint32_t>(entry & 0xffff'ffff));
  }
  std::size_t sent() const { return msi.sent().size(); }
};

TEST_CASE("IOAPIC: identification and reset state", "[ioapic]") {
  Chip chip;
  CHECK(chip.get(0) == 0);
  CHECK(chip.get(1) == 0x0017'0011);
  CHECK(chip.get(2) == 0);
  for (unsigned pin = 0; pin < 24; ++pin) CHECK(chip.entry(pin) == kMasked);
  chip.set(0, 0xffff'ffff);
  CHECK(chip.get(0) == 0x0f00'0000);
  CHECK(chip.get(2) == 0x0f00'0000);
  CHECK(chip.raw_read(0) == 2);
}

TEST_CASE("IOAPIC: registers that do not exist read 0 and change nothing", "[ioapic][hostile]") {
  Chip chip;
  const IoapicState before = chip.ioapic.state();
  for (unsigned index = 0; index < 256; ++index) {
    if (index == 0 || (index >= 0x10 && index < 0x40)) continue;
    chip.set(index, 0xffff'ffff);
    CHECK(chip.get(index) == (index == 1 ? 0x0017'0011u : 0u));
  }
  for (std::uint64_t offset = 0; offset < 0x20; ++offset) {
    if (offset == 0 || offset == 0x10) continue;
    const std::array data = {std::byte{0xff}};
    chip.ioapic.write(offset, data);
  }
  CHECK(chip.raw_read(4) == 0);
  CHECK(chip.raw_read(0x14) == 0);
  IoapicState after = chip.ioapic.state();
  after.select = before.select;
  CHECK(after == before);
  CHECK(chip.sent() == 0);
}

TEST_CASE("IOAPIC: only writable bits of an entry are kept", "[ioapic]") {
  Chip chip;
  chip.program(3, ~std::uint64_t{0});
  CHECK(chip.entry(3) == 0xfffe'0000'0001'afff);
  chip.program(3, 0);
  CHECK(chip.entry(3) == 0);
}

TEST_CASE("IOAPIC: an entry becomes the message that local APICs expect", "[ioapic]") {
  struct Case {
    const char* name;
    std::uint64_t entry;
    std::optional<MsiMessage> message;
  };
  const auto c = GENERATE(values<Case>({
      {"fixed", 0x31, MsiMessage{.address = 0xfee0'0000, .data = 0x31}},
      {"destination 3", 0x31 | destination(3), MsiMessage{.address = 0xfee0'3000, .data = 0x31}},
      {"destination 255", 0x31 | destination(255),
       MsiMessage{.address = 0xfeef'f000, .data = 0x31}},
      {"destination 0x1203", 0x31 | destination(3) | 0x12ull << 49,
       MsiMessage{.address = 0xfee0'3240, .data = 0x31}},
      {"logical", 0x31 | kLogical, MsiMessage{.address = 0xfee0'0004, .data = 0x31}},
      {"lowest priority", 0x131, MsiMessage{.address = 0xfee0'0000, .data = 0x131}},
      {"level", 0x31 | kLevel, MsiMessage{.address = 0xfee0'0000, .data = 0xc031}},
      {"level, active low", 0x31 | kLevel | kActiveLow,
       MsiMessage{.address = 0xfee0'0000, .data = 0xc031}},
      {"NMI is an edge", 0x400 | kLevel, MsiMessage{.address = 0xfee0'0000, .data = 0x400}},
      {"SMI", 0x200, MsiMessage{.address = 0xfee0'0000, .data = 0x200}},
      {"INIT", 0x500, MsiMessage{.address = 0xfee0'0000, .data = 0x500}},
      {"reserved mode 3", 0x331, std::nullopt},
      {"reserved mode 6", 0x631 | kLevel, std::nullopt},
      {"ExtINT", 0x700, std::nullopt},
      {"masked", 0x31 | kMasked, std::nullopt},
  }));
  CAPTURE(c.name);
  Chip chip;
  chip.program(5, c.entry);
  chip.ioapic.set_level(5, true);
  REQUIRE(chip.sent() == (c.message ? 1u : 0u));
  if (c.message) CHECK(chip.msi.sent()[0] == *c.message);
  CHECK(chip.routes.now[5] == c.message);
}

TEST_CASE("IOAPIC: an edge-sensitive pin delivers on each rise, and loses masked ones",
          "[ioapic]") {
  Chip chip;
  chip.program(4, 0x34);
  chip.ioapic.set_level(4, true);
  chip.ioapic.set_level(4, true);
  CHECK(chip.sent() == 1);
  chip.ioapic.set_level(4, false);
  CHECK(chip.sent() == 1);
  chip.ioapic.line(4).set(true);
  CHECK(chip.sent() == 2);
  chip.ioapic.set_level(4, false);
  chip.program(4, 0x34 | kMasked);
  chip.ioapic.set_level(4, true);
  chip.program(4, 0x34);
  CHECK(chip.sent() == 2);
  chip.ioapic.end_of_interrupt(0x34);
  CHECK(chip.sent() == 2);
}

TEST_CASE("IOAPIC: a level-sensitive pin delivers until its cause is gone, once per EOI",
          "[ioapic]") {
  Chip chip;
  chip.program(9, 0x39 | kLevel);
  chip.ioapic.set_level(9, true);
  CHECK(chip.sent() == 1);
  CHECK(chip.entry(9) == (0x39 | kLevel | kRemoteIrr));
  chip.ioapic.set_level(9, false);
  chip.ioapic.set_level(9, true);
  CHECK(chip.sent() == 1);  // still in service
  chip.ioapic.end_of_interrupt(0x38);
  CHECK(chip.sent() == 1);  // another vector
  chip.ioapic.end_of_interrupt(0x39);
  CHECK(chip.sent() == 2);
  chip.ioapic.set_level(9, false);
  chip.ioapic.end_of_interrupt(0x39);
  CHECK(chip.sent() == 2);
  CHECK(chip.entry(9) == (0x39 | kLevel));
}

TEST_CASE("IOAPIC: a level that was raised while masked is delivered when unmasked", "[ioapic]") {
  Chip chip;
  chip.program(9, 0x39 | kLevel | kMasked);
  chip.ioapic.set_level(9, true);
  CHECK(chip.sent() == 0);
  chip.program(9, 0x39 | kLevel);
  CHECK(chip.sent() == 1);

  SECTION("masked at EOI, it waits for the unmask") {
    chip.set(0x10 + 18, static_cast<std::uint32_t>(0x39 | kLevel | kMasked));
    chip.ioapic.end_of_interrupt(0x39);
    CHECK(chip.sent() == 1);
    chip.set(0x10 + 18, static_cast<std::uint32_t>(0x39 | kLevel));
    CHECK(chip.sent() == 2);
  }
  SECTION("the guest cannot clear Remote IRR by writing it") {
    chip.program(9, 0x39 | kLevel);
    CHECK((chip.entry(9) & kRemoteIrr) != 0);
    CHECK(chip.sent() == 1);
  }
  SECTION("making it an edge and a level again ends the service") {
    chip.program(9, 0x39 | kMasked);
    CHECK((chip.entry(9) & kRemoteIrr) == 0);
    chip.program(9, 0x39 | kLevel);
    CHECK(chip.sent() == 2);
  }
}

TEST_CASE("IOAPIC: the guest cannot set Remote IRR", "[ioapic][hostile]") {
  Chip chip;
  chip.program(9, 0x39 | kLevel | kRemoteIrr);
  CHECK(chip.entry(9) == (0x39 | kLevel));
}

TEST_CASE("IOAPIC: pins with one vector are all ended by its EOI", "[ioapic]") {
  Chip chip;
  for (const unsigned pin : {0u, 10u, 23u}) {
    chip.program(pin, 0x50 | kLevel);
    chip.ioapic.set_level(pin, true);
  }
  CHECK(chip.sent() == 3);
  chip.ioapic.set_level(10, false);
  chip.ioapic.end_of_interrupt(0x50);
  CHECK(chip.sent() == 5);
}

TEST_CASE("IOAPIC: a resample listener hears the EOI and may drop the line first", "[ioapic]") {
  class Source final : public vm_device::ResampleListener {
   public:
    explicit Source(vm_device::ResampleLine& line) : line_(line) {}
    void resampled() override {
      ++count;
      line_.set(still);
    }
    int count = 0;
    bool still = false;

   private:
    vm_device::ResampleLine& line_;
  };
  Chip chip;
  Source source(chip.ioapic.line(7));
  chip.ioapic.line(7).set_resample_listener(&source);
  chip.program(7, 0x37 | kLevel);
  chip.ioapic.line(7).set(true);
  chip.ioapic.end_of_interrupt(0x37);
  CHECK(source.count == 1);
  CHECK(chip.sent() == 1);
  source.still = true;
  chip.ioapic.line(7).set(true);
  chip.ioapic.end_of_interrupt(0x37);
  CHECK(source.count == 2);
  CHECK(chip.sent() == 3);  // once, however often the line was set
  chip.ioapic.end_of_interrupt(0x36);
  CHECK(source.count == 2);
}

TEST_CASE("IOAPIC: routes are announced when they change, and only then", "[ioapic]") {
  Chip chip;
  chip.program(2, 0x32 | kMasked);
  const int before = chip.routes.changes;
  chip.program(2, 0x32 | kMasked);
  CHECK(chip.routes.changes == before);
  chip.set(0x14, 0x32);
  CHECK(chip.routes.changes == before + 1);
  CHECK(chip.routes.now[2] == MsiMessage{.address = 0xfee0'0000, .data = 0x32});
}

TEST_CASE("IOAPIC: pins that do not exist are ignored", "[ioapic][hostile]") {
  Chip chip;
  chip.ioapic.set_level(24, true);
  chip.ioapic.set_level(~std::size_t{0}, true);
  CHECK(chip.ioapic.state().asserted == 0);
}

TEST_CASE("IOAPIC: a saved controller goes on where it was", "[ioapic][state]") {
  Chip chip;
  chip.set(0, 0x0500'0000);
  chip.program(9, 0x39 | kLevel | destination(2));
  chip.program(4, 0x34);
  chip.ioapic.set_level(9, true);
  chip.ioapic.set_level(4, true);

  const IoapicState state = chip.ioapic.state();
  Chip other;
  REQUIRE(other.ioapic.restore(state));
  CHECK(other.ioapic.state() == state);
  CHECK(other.sent() == 0);
  CHECK(other.routes.now[9] == MsiMessage{.address = 0xfee0'2000, .data = 0xc039});
  other.ioapic.end_of_interrupt(0x39);
  CHECK(other.sent() == 1);
  other.ioapic.set_level(4, true);  // was up already: no edge
  CHECK(other.sent() == 1);
}

TEST_CASE("IOAPIC: a state that cannot be is refused", "[ioapic][state][hostile]") {
  struct Case {
    const char* name;
    void (*spoil)(IoapicState&);
    StateError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"id", [](IoapicState& s) { s.id = 0x10; }, StateError::kReservedBits},
      {"a 25th pin", [](IoapicState& s) { s.asserted = 1 << 24; }, StateError::kReservedBits},
      {"reserved bit", [](IoapicState& s) { s.redirection[0] = 1 << 17; },
       StateError::kReservedBits},
      {"delivery status", [](IoapicState& s) { s.redirection[23] = 1 << 12; },
       StateError::kReservedBits},
      {"an edge in service", [](IoapicState& s) { s.redirection[1] = kRemoteIrr; },
       StateError::kInconsistent},
      {"an NMI in service", [](IoapicState& s) { s.redirection[1] = kRemoteIrr | kLevel | 0x400; },
       StateError::kInconsistent},
  }));
  CAPTURE(c.name);
  Chip chip;
  const IoapicState before = chip.ioapic.state();
  IoapicState state = before;
  c.spoil(state);
  const auto result = chip.ioapic.restore(state);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error() == c.expected);
  CHECK(chip.ioapic.state() == before);
}

}  // namespace
