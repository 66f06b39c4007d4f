// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/endpoint.h"

#include <catch2/catch.hpp>

#include "board.h"
#include "errors.h"

namespace vmm::pci {
namespace {

using Place = std::optional<std::uint64_t>;

constexpr std::uint16_t bar_register(const Bar& bar) {
  return static_cast<std::uint16_t>(kBar0 + 4 * bar.index);
}

TEST_CASE("BARs that cannot be are refused", "[bar]") {
  struct Case {
    const char* name;
    std::vector<Bar> bars;
    bool good;
  };
  using enum BarKind;
  const std::uint64_t most = std::uint64_t{1} << 63;
  for (const Case& c : {
           Case{"six of 32 bits",
                {{0, kMemory32, 16}, {1, kIo, 4}, {2, kMemory32, 1u << 31}, {5, kIo, 1u << 15}},
                true},
           Case{"three of 64 bits",
                {{0, kMemory64, 16}, {2, kMemory64, most}, {4, kMemory64, 4096}},
                true},
           Case{"an index beyond", {{6, kMemory32, 16}}, false},
           Case{"64 bits in the last", {{5, kMemory64, 16}}, false},
           Case{"the same index", {{1, kMemory32, 16}, {1, kIo, 16}}, false},
           Case{"the upper half", {{0, kMemory64, 16}, {1, kMemory32, 16}}, false},
           Case{"the upper half of the new one", {{1, kMemory32, 16}, {0, kMemory64, 16}}, false},
           Case{"no bytes", {{0, kMemory32, 0}}, false},
           Case{"no power of two", {{0, kMemory32, 0x1800}}, false},
           Case{"8 bytes of memory", {{0, kMemory32, 8}}, false},
           Case{"4 GiB in 32 bits", {{0, kMemory32, std::uint64_t{1} << 32}}, false},
           Case{"two ports", {{0, kIo, 2}}, false},
           Case{"all ports", {{0, kIo, 1 << 16}}, false},
           Case{"an alignment of 3", {{0, kMemory32, 16, false, 3}}, false},
       }) {
    CAPTURE(c.name);
    const TestFunction function(c.bars);
    CHECK(function.good.has_value() == c.good);
    if (!function.good) CHECK(function.good.error() == PciError::kBadBar);
  }
}

TEST_CASE("the sizing protocol reads sizes and kinds", "[bar]") {
  using enum BarKind;
  struct Case {
    Bar bar;
    std::uint32_t low;
    std::uint32_t high;
  };
  for (const Case& c :
       {Case{{0, kMemory32, 16}, 0xffff'fff0, 0}, Case{{0, kMemory32, 0x1000}, 0xffff'f000, 0},
        Case{{0, kMemory32, 0x1000, true}, 0xffff'f008, 0},
        Case{{0, kMemory64, 0x8'0000}, 0xfff8'0004, 0xffff'ffff},
        Case{{0, kMemory64, 0x8'0000, true}, 0xfff8'000c, 0xffff'ffff},
        Case{{0, kMemory64, 0x2'0000'0000}, 0x0000'0004, 0xffff'fffe},
        Case{{0, kIo, 4}, 0xffff'fffd, 0}, Case{{0, kIo, 0x100}, 0xffff'ff01, 0}}) {
    for (const bool enabled : {false, true}) {
      Board board;
      const auto function = board.add({c.bar});
      board.command(*function, enabled ? kAllOn : 0);
      const auto low = board.config<std::uint32_t>(*function, kBar0);
      const auto high = board.config<std::uint32_t>(*function, kBar0 + 4);
      board.set_config(*function, kBar0, ~std::uint32_t{0});
      board.set_config(*function, kBar0 + 4, ~std::uint32_t{0});
      CAPTURE(c.bar.size, static_cast<int>(c.bar.kind), enabled);
      CHECK(board.config<std::uint32_t>(*function, kBar0) == c.low);
      CHECK(board.config<std::uint32_t>(*function, kBar0 + 4) == c.high);
      CHECK_FALSE(function->endpoint.decoded_at(0));
      board.set_config(*function, kBar0, low);
      board.set_config(*function, kBar0 + 4, high);
      CHECK(board.config<std::uint32_t>(*function, kBar0) == low);
      CHECK(function->endpoint.decoded_at(0).has_value() == enabled);
    }
  }
}

TEST_CASE("registers of BARs that are not there are 0", "[bar]") {
  Board board;
  const auto function = board.add({kBar32});
  for (std::uint16_t at = kBar0 + 4; at <= kRomBar; at = static_cast<std::uint16_t>(at + 4)) {
    if (at == kSubsystemVendorId) continue;
    board.set_config(*function, at, ~std::uint32_t{0});
    CHECK(board.config<std::uint32_t>(*function, at) == 0);
  }
}

TEST_CASE("a BAR answers at its address, while the command enables it", "[bar]") {
  Board board;
  const auto function = board.add({kBar32, kBar64, kBarIo});
  board.set_bar(*function, kBar32, 0xc800'0000);
  board.set_bar(*function, kBar64, 0x12'0000'0000);
  board.set_bar(*function, kBarIo, 0x2000);
  struct Case {
    std::uint16_t command;
    bool memory;
    bool io;
  };
  for (const Case& c :
       {Case{0, false, false}, Case{kCommandMemory, true, false}, Case{kCommandIo, false, true},
        Case{kAllOn, true, true}, Case{kCommandBusMaster, false, false}}) {
    board.command(*function, c.command);
    CAPTURE(c.command);
    CHECK((board.memory_at(0xc800'0fff) == 0xb0) == c.memory);
    CHECK((board.memory_at(0x12'0000'0000) == 0xb2) == c.memory);
    CHECK((board.port_at(0x201f) == 0xb5) == c.io);
  }
  board.command(*function, kAllOn);
  CHECK_FALSE(board.memory_at(0xc7ff'ffff));
  CHECK_FALSE(board.memory_at(0xc800'1000));
  const std::array<std::byte, 4> data{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  REQUIRE(board.caller.write(GuestAddress(0x12'0000'1234), data));
  CHECK(function->written.bar == 2);
  CHECK(function->written.offset == 0x1234);
  CHECK(std::ranges::equal(function->written.data, data));
}

TEST_CASE("a BAR moves while it is enabled, a wide one by halves", "[bar]") {
  Board board;
  const auto function = board.add({kBar64, kBarIo});
  board.command(*function, kAllOn);
  const std::uint64_t at = *function->endpoint.decoded_at(2);
  function->moves.clear();
  board.set_bar(*function, kBar64, 0x18'c000'0000);
  CHECK(board.memory_at(0x18'c000'0000) == 0xb2);
  CHECK_FALSE(board.memory_at(at));
  // With the new lower half only, then at the new place; told "nowhere" before each.
  using Moves = std::vector<TestFunction::Move>;
  CHECK(function->moves == Moves{{2, std::nullopt},
                                 {2, (at & ~std::uint64_t{0xffff'ffff}) | 0xc000'0000},
                                 {2, std::nullopt},
                                 {2, 0x18'c000'0000}});
  CHECK(board.mmio.size() == 1);
  board.set_bar(*function, kBar64, 0xc000'0000);  // a wide BAR may be in the low window
  CHECK(board.memory_at(0xc000'0000) == 0xb2);
  board.set_bar(*function, kBarIo, 0x3000);
  CHECK(board.port_at(0x3000) == 0xb5);
  CHECK(board.ports.size() == 1);
}

TEST_CASE("an address is written in pieces of any width", "[bar][hostile]") {
  for (const std::size_t width : {1u, 2u, 4u, 8u}) {
    Board board;
    const auto function = board.add({kBar64});
    board.command(*function, kMemoryOn);
    std::array<std::byte, 8> address{};
    store_le(address.data(), std::uint64_t{0x15'1234'0000});
    for (std::size_t at = 0; at < address.size(); at += width) {
      board.segment->write_config(function->attached.devfn(),
                                  static_cast<std::uint16_t>(bar_register(kBar64) + at),
                                  std::span(address).subspan(at, width));
    }
    CAPTURE(width);
    CHECK(board.memory_at(0x15'1234'0000) == 0xb2);
    CHECK(board.mmio.size() == 1);
  }
}

TEST_CASE("a BAR outside of the windows is not decoded, and comes back", "[bar][hostile]") {
  const std::uint64_t high_end = kHigh.base.raw() + kHigh.size;
  for (const std::uint64_t address :
       {std::uint64_t{0}, std::uint64_t{0x10'0000}, std::uint64_t{0x7fff'0000},
        kLow.base.raw() - kBar64.size, kLow.base.raw() + kLow.size, std::uint64_t{0xfee0'0000},
        std::uint64_t{1} << 32, kHigh.base.raw() - kBar64.size, high_end,
        ~std::uint64_t{0} & ~(kBar64.size - 1)}) {
    Board board;
    const auto function = board.add({kBar64});
    board.command(*function, kMemoryOn);
    REQUIRE(function->endpoint.decoded_at(2));
    board.set_bar(*function, kBar64, address);
    CAPTURE(address);
    CHECK_FALSE(function->endpoint.decoded_at(2));
    CHECK_FALSE(board.memory_at(address));
    CHECK(board.mmio.size() == 0);
    CHECK(board.config<std::uint32_t>(*function, bar_register(kBar64)) ==
          (static_cast<std::uint32_t>(address) | 4));
    board.set_bar(*function, kBar64, high_end - kBar64.size);
    CHECK(board.memory_at(high_end - 1) == 0xb2);
  }
}

TEST_CASE("two BARs of one function change places", "[bar]") {
  Board board;
  const Bar other{.index = 1, .kind = BarKind::kMemory32, .size = 0x1000};
  const auto function = board.add({kBar32, other});
  board.set_bar(*function, kBar32, 0xc000'0000);
  board.set_bar(*function, other, 0xc001'0000);
  board.command(*function, kMemoryOn);
  board.set_bar(*function, kBar32, 0xc001'0000);
  CHECK(board.memory_at(0xc001'0000) == 0xb1);
  CHECK_FALSE(board.memory_at(0xc000'0000));
  board.set_bar(*function, other, 0xc000'0000);
  CHECK(board.memory_at(0xc001'0000) == 0xb0);
  CHECK(board.memory_at(0xc000'0000) == 0xb1);
}

TEST_CASE("a BAR over another function's waits until there is room", "[bar][hostile]") {
  Board board;
  const auto first = board.add({kBar32});
  const auto second = board.add({kBar32, kBar64});
  board.set_bar(*first, kBar32, 0xc000'0000);
  board.set_bar(*second, kBar32, 0xc001'0000);
  board.set_bar(*second, kBar64, 0xc100'0000);
  board.command(*first, kMemoryOn);
  board.command(*second, kMemoryOn);
  const auto is_second = [&](std::uint64_t at) {
    second->moves.clear();
    return second->endpoint.decoded_at(0) == Place(at);
  };
  SECTION("the other one moves away") {
    board.set_bar(*second, kBar32, 0xc000'0000);
    CHECK_FALSE(second->endpoint.decoded_at(0));
    CHECK(first->endpoint.decoded_at(0) == Place(0xc000'0000));
    board.set_bar(*first, kBar32, 0xc002'0000);
    CHECK(is_second(0xc000'0000));
    CHECK(first->endpoint.decoded_at(0) == Place(0xc002'0000));
  }
  SECTION("the other one is disabled") {
    board.set_bar(*second, kBar32, 0xc000'0000);
    board.command(*first, 0);
    CHECK(is_second(0xc000'0000));
    board.command(*first, kMemoryOn);
    CHECK_FALSE(first->endpoint.decoded_at(0));
    board.command(*second, 0);
    CHECK(first->endpoint.decoded_at(0) == Place(0xc000'0000));
  }
  SECTION("the other one is removed") {
    board.set_bar(*second, kBar32, 0xc000'0000);
    REQUIRE(board.segment->remove(first->attached.slot));
    CHECK(is_second(0xc000'0000));
  }
  SECTION("a part of it is enough") {
    board.set_bar(*second, kBar64, 0xc000'0000);
    CHECK_FALSE(second->endpoint.decoded_at(2));
    CHECK(second->endpoint.decoded_at(0));
    board.set_bar(*first, kBar32, 0xc110'0000);
    CHECK(second->endpoint.decoded_at(2) == Place(0xc000'0000));
  }
}

TEST_CASE("a range that becomes free while a BAR is refused for it is told", "[bar]") {
  class Held : public vm_device::BusDevice {
    void read(std::uint64_t, std::span<std::byte>) override {}
    void write(std::uint64_t, std::span<const std::byte>) override {}
  };
  /// What a bus does not take is destroyed between the refusal and what follows from it.
  class Refused final : public Held {
   public:
    explicit Refused(BarSpace& space) : space_(space) {}
    ~Refused() override { space_.remove(kBar32, kLow.base.raw()); }

   private:
    BarSpace& space_;
  };
  vm_device::MmioBus mmio;
  const auto space = *BarSpace::create({.mmio = mmio, .ports = nullptr}, kWindows);
  const std::uint64_t at = kLow.base.raw();
  REQUIRE(space->add(kBar32, at, std::make_shared<Held>()));
  REQUIRE_FALSE(space->take_freed());
  CHECK_FALSE(space->add(kBar32, at, std::make_shared<Refused>(*space)));
  CHECK(space->take_freed());
  CHECK_FALSE(space->take_freed());  // once
  REQUIRE(space->add(kBar32, at, std::make_shared<Held>()));
  space->remove(kBar32, at);
  CHECK_FALSE(space->take_freed());  // nobody was refused
}

TEST_CASE("a BAR over a device that is no PCI function is not decoded", "[bar][hostile]") {
  class Other final : public vm_device::BusDevice {
    void read(std::uint64_t, std::span<std::byte> data) override { data[0] = std::byte{0x11}; }
    void write(std::uint64_t, std::span<const std::byte>) override {}
  };
  Board board;
  REQUIRE(board.mmio.add(GuestAddress(0xc200'0800), 0x10, std::make_shared<Other>()));
  const auto function = board.add({kBar32});
  board.set_bar(*function, kBar32, 0xc200'0000);
  board.command(*function, kMemoryOn);
  CHECK_FALSE(function->endpoint.decoded_at(0));
  CHECK(board.memory_at(0xc200'0800) == 0x11);
}

TEST_CASE("first addresses are aligned, disjoint, and free again after removal", "[bar]") {
  Board board;
  const Bar aligned{
      .index = 0, .kind = BarKind::kMemory64, .size = 0x8'0000, .alignment = 0x80'0000};
  const auto first = board.add({aligned, kBarIo});
  const auto second = board.add({aligned, kBarIo});
  board.command(*first, kAllOn);
  board.command(*second, kAllOn);
  CHECK(first->endpoint.decoded_at(0) == Place(kHigh.base.raw()));
  CHECK(second->endpoint.decoded_at(0) == Place(kHigh.base.raw() + 0x80'0000));
  CHECK(first->endpoint.decoded_at(5) == Place(0x1000));
  CHECK(second->endpoint.decoded_at(5) == Place(0x1020));
  board.set_bar(*first, aligned, kHigh.base.raw() + 0x800'0000);  // the guest's own choice
  REQUIRE(board.segment->remove(first->attached.slot));
  const auto third = board.add({aligned, kBarIo});
  board.command(*third, kAllOn);
  CHECK(third->endpoint.decoded_at(0) == Place(kHigh.base.raw()));
  CHECK(third->endpoint.decoded_at(5) == Place(0x1000));
}

TEST_CASE("a function whose BARs find no room is not attached, and leaves nothing", "[bar]") {
  Board board;
  const Bar huge{.index = 0, .kind = BarKind::kMemory64, .size = std::uint64_t{1} << 40};
  const auto other = std::make_shared<TestFunction>(std::vector{kBar64, huge});
  REQUIRE(other->good);
  CHECK(is_error(board.segment->add(other), PciError::kNoAddress));
  CHECK(board.segment->occupied() == 0);
  const auto good = board.add({kBar64});
  board.command(*good, kMemoryOn);
  CHECK(good->endpoint.decoded_at(2) == Place(kHigh.base.raw()));
  // It is in a slot already.
  CHECK(is_error(board.segment->add(good, {.slot = 7}), PciError::kAttached));
  CHECK(good->endpoint.add_bar(kBar32).error() == PciError::kAttached);
}

TEST_CASE("the pin is asserted unless the driver disabled it, and the status tells", "[intx]") {
  Board board;
  const auto function = board.add({kBar32});
  vm_device::testing::FakeLine& line = board.lines[0];
  const auto told = [&] {
    return (board.config<std::uint16_t>(*function, kStatus) & kStatusInterrupt) != 0;
  };
  CHECK_FALSE(told());
  function->endpoint.set_intx(true);
  CHECK(line.level());
  CHECK(told());
  board.command(*function, kCommandIntxDisable);
  CHECK_FALSE(line.level());
  CHECK(told());
  board.command(*function, 0);
  CHECK(line.level());
  function->endpoint.set_intx(false);
  CHECK_FALSE(line.level());
  CHECK_FALSE(told());
  board.command(*function, kCommandIntxDisable);
  function->endpoint.set_intx(true);
  CHECK_FALSE(line.level());
  board.command(*function, 0);
  CHECK(line.level());
  REQUIRE(board.segment->remove(0));
  CHECK_FALSE(line.level());
  function->endpoint.set_intx(true);
  CHECK_FALSE(line.level());
}

TEST_CASE("the device hears of accesses that lie in configuration space", "[config][hostile]") {
  TestFunction function;
  std::array<std::byte, 8> data{};
  function.endpoint.read_config(4092, data);
  CHECK(function.config_bytes_read == 0);
  CHECK(std::ranges::all_of(std::span(data).subspan(4),
                            [](std::byte byte) { return byte == std::byte{0xff}; }));
  function.endpoint.write_config(4092, data);
  CHECK(function.last_config_write == 0);
  function.endpoint.write_config(4088, data);
  CHECK(function.last_config_write == 4088);
  CHECK(function.endpoint.add_bar(kBar32));
}

}  // namespace

TEST_CASE("endpoint: the expansion ROM", "[endpoint]") {
  constexpr Bar kRom{.index = kRomIndex, .kind = BarKind::kRom, .size = 0x1'0000};
  Board board;
  const auto function = board.add({kBar32, kRom});
  REQUIRE(function->good);
  const auto first = board.config<std::uint32_t>(*function, kRomBar);
  board.set_config(*function, kRomBar, 0xffff'fffeu);
  CHECK(board.config<std::uint32_t>(*function, kRomBar) == 0xffff'0000);  // the size, and off
  board.set_config(*function, kRomBar, first);
  board.command(*function, kMemoryOn);
  CHECK_FALSE(board.memory_at(first));  // not enabled
  board.set_config(*function, kRomBar, first | 1);
  CHECK(board.memory_at(first) == 0xb6);
  board.set_config(*function, kRomBar, (first + 0x1'0000) | 1);
  CHECK_FALSE(board.memory_at(first));
  CHECK(board.memory_at(first + 0x1'0000) == 0xb6);
  board.command(*function, 0);
  CHECK_FALSE(board.memory_at(first + 0x1'0000));

  for (const Bar& bad : {Bar{.index = 5, .kind = BarKind::kRom, .size = 0x1000},
                         Bar{.index = 6, .kind = BarKind::kRom, .size = 0x400},
                         Bar{.index = 6, .kind = BarKind::kRom, .size = 0x1800},
                         Bar{.index = 6, .kind = BarKind::kMemory32, .size = 0x1000}}) {
    CHECK_FALSE(TestFunction({bad}).good);
  }
}

TEST_CASE("endpoint: a device may clear the command register after a write", "[endpoint]") {
  Board board;
  const auto function = board.add({kBar32});
  const auto first = board.config<std::uint32_t>(*function, kBar0);
  board.command(*function, kMemoryOn);
  CHECK(board.memory_at(first) == 0xb0);
  function->clears_command = true;
  board.set_config(*function, kInterruptLine, std::uint8_t{1});
  CHECK(board.config<std::uint16_t>(*function, kCommand) == 0);
  CHECK_FALSE(board.memory_at(first));
}

}  // namespace vmm::pci
