// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/msix.h"

#include <catch2/catch.hpp>

#include "vmm/base/endian.h"
#include "vmm/vm_device/testing/platform.h"

namespace vmm::pci {
namespace {

using vm_device::MsiMessage;

constexpr std::uint16_t kOn = Msix::kEnable;
constexpr std::uint16_t kAllMasked = Msix::kEnable | Msix::kFunctionMask;

struct Table {
  explicit Table(std::uint16_t count) : msix(*Msix::create(*source.create_vectors(count), count)) {}

  std::uint64_t read(std::uint64_t offset, std::size_t bytes) {
    std::array<std::byte, 16> data{};
    data.fill(std::byte{0x55});
    msix->read_table(offset, std::span(data).first(bytes));
    return bytes == 4 ? load_le<std::uint32_t>(data.data()) : load_le<std::uint64_t>(data.data());
  }
  void write(std::uint64_t offset, std::uint64_t value, std::size_t bytes = 4) {
    std::array<std::byte, 16> data{};
    store_le(data.data(), value);
    msix->write_table(offset, std::span(data).first(bytes));
  }
  /// A message for a vector, which is unmasked.
  void set_up(std::uint16_t vector, std::uint32_t data) {
    const std::uint64_t at = vector * Msix::kEntryBytes;
    write(at, 0xfee0'0000);
    write(at + 4, 0);
    write(at + 8, data);
    mask(vector, false);
  }
  void mask(std::uint16_t vector, bool yes) { write(vector * Msix::kEntryBytes + 12, yes ? 1 : 0); }
  std::uint64_t pending(std::uint64_t offset = 0) {
    std::array<std::byte, 8> data{};
    msix->read_pending(offset, data);
    return load_le<std::uint64_t>(data.data());
  }
  std::size_t sent() const { return source.sent().size(); }

  vm_device::testing::FakeMsiSource source;
  std::unique_ptr<Msix> msix;
};

TEST_CASE("a table has 1 to 2048 vectors", "[msix]") {
  vm_device::testing::FakeMsiSource source;
  for (const int number : {0, 1, 2, 2047, 2048, 2049, 0xffff}) {
    const auto count = static_cast<std::uint16_t>(number);
    const auto made = Msix::create(*source.create_vectors(count), count);
    CAPTURE(count);
    CHECK(made.has_value() == (count >= 1 && count <= 2048));
    if (!made) CHECK(made.error() == PciError::kBadVectors);
  }
  CHECK(source.vectors() == 0);
}

TEST_CASE("the capability says how many vectors there are and where", "[msix]") {
  const Table table(33);
  const auto body = table.msix->capability(
      {.table = {.bar = 0, .offset = 0x8000}, .pending = {.bar = 2, .offset = 0x4'8000}});
  CHECK(load_le<std::uint16_t>(body.data()) == 32);
  CHECK(load_le<std::uint32_t>(body.data() + 2) == 0x8000);
  CHECK(load_le<std::uint32_t>(body.data() + 6) == 0x4'8002);
  CHECK(load_le<std::uint16_t>(Msix::capability_mask().data()) == 0xc000);
}

TEST_CASE("entries keep what they can, by words and by pairs of them", "[msix]") {
  Table table(3);
  CHECK(table.read(12, 4) == 1);  // masked at first
  table.write(16, 0xffff'ffff);
  table.write(20, 0xffff'ffff);
  table.write(24, 0xffff'ffff);
  table.write(28, 0xffff'fffe);
  CHECK(table.read(16, 8) == 0xffff'ffff'ffff'fffc);
  CHECK(table.read(24, 8) == 0x0000'0000'ffff'ffff);
  table.write(32, 0x1122'3344'5566'7788, 8);
  table.write(40, 0xffff'ffff'8765'4321, 8);
  CHECK(table.read(32, 4) == 0x5566'7788);
  CHECK(table.read(36, 4) == 0x1122'3344);
  CHECK(table.read(40, 8) == 0x0000'0001'8765'4321);
}

TEST_CASE("accesses of other widths, and beyond the table, do nothing", "[msix][hostile]") {
  Table table(2);
  table.set_up(1, 7);
  struct Case {
    std::uint64_t offset;
    std::size_t bytes;
  };
  for (const Case& c :
       {Case{24, 1}, Case{24, 2}, Case{25, 4}, Case{26, 2}, Case{20, 8}, Case{24, 16}, Case{24, 3},
        Case{32, 4}, Case{32, 8}, Case{0x8000, 4}, Case{0xffff'fff0, 8}, Case{~0ull & ~7ull, 8}}) {
    CAPTURE(c.offset, c.bytes);
    table.write(c.offset, ~std::uint64_t{0}, c.bytes);
    std::array<std::byte, 16> data{};
    data.fill(std::byte{0x55});
    table.msix->read_table(c.offset, std::span(data).first(c.bytes));
    for (std::size_t i = 0; i < c.bytes; ++i) CHECK(data[i] == std::byte{0});
  }
  CHECK(table.read(16, 8) == 0xfee0'0000);
  CHECK(table.read(24, 8) == 7);
}

TEST_CASE("a vector is sent when nothing masks it, and pending otherwise", "[msix]") {
  struct Case {
    std::uint16_t control;
    bool masked;
    bool sent;
  };
  for (const Case& c :
       {Case{0, false, false}, Case{Msix::kFunctionMask, false, false}, Case{kOn, true, false},
        Case{kOn, false, true}, Case{kAllMasked, false, false}, Case{kAllMasked, true, false}}) {
    Table table(4);
    table.set_up(2, 0x42);
    table.mask(2, c.masked);
    table.msix->set_control(c.control);
    table.msix->trigger(2);
    CAPTURE(c.control, c.masked);
    CHECK(table.sent() == (c.sent ? 1 : 0));
    CHECK(table.pending() == (c.sent ? 0 : 4));
    table.msix->set_control(kOn);
    table.mask(2, false);
    CHECK(table.sent() == 1);
    CHECK(table.pending() == 0);
    CHECK(table.source.sent().at(0) == MsiMessage{.address = 0xfee0'0000, .data = 0x42});
    table.mask(2, true);
    table.mask(2, false);
    CHECK(table.sent() == 1);  // once
  }
}

TEST_CASE("events of a masked vector come as one, in the message of the unmask", "[msix]") {
  Table table(2);
  table.msix->set_control(kOn);
  table.set_up(0, 1);
  table.mask(0, true);
  for (int i = 0; i < 3; ++i) table.msix->trigger(0);
  table.write(8, 2);
  CHECK(table.sent() == 0);
  table.mask(0, false);
  REQUIRE(table.sent() == 1);
  CHECK(table.source.sent()[0].data == 2);
}

TEST_CASE("a message that changes while it is unmasked is the next one", "[msix]") {
  Table table(1);
  table.msix->set_device_id(0x88);
  table.msix->set_control(kOn);
  table.set_up(0, 1);
  table.write(0, 0xfee0'1000);
  table.write(8, 9);
  table.msix->trigger(0);
  REQUIRE(table.sent() == 1);
  CHECK(table.source.sent()[0] == MsiMessage{.address = 0xfee0'1000, .data = 9, .device_id = 0x88});
}

TEST_CASE("pending bits are read by words, as far as there are vectors", "[msix][hostile]") {
  Table table(70);
  for (const int vector : {0, 33, 63, 64, 69}) {
    table.msix->trigger(static_cast<std::uint16_t>(vector));
  }
  CHECK(table.pending(0) == (1ull | 1ull << 33 | 1ull << 63));
  CHECK(table.pending(8) == (1 | 1 << 5));
  CHECK(table.pending(16) == 0);
  CHECK(table.pending(256) == 0);
  CHECK(table.pending(~std::uint64_t{7}) == 0);
  std::array<std::byte, 4> word{};
  table.msix->read_pending(4, word);
  CHECK(load_le<std::uint32_t>(word.data()) == (1u << 1 | 1u << 31));
  table.msix->read_pending(2, word);
  CHECK(load_le<std::uint32_t>(word.data()) == 0);
  std::array<std::byte, 1> byte{std::byte{0x55}};
  table.msix->read_pending(0, byte);
  CHECK(byte[0] == std::byte{0});
  table.msix->clear_pending();
  CHECK(table.pending(0) == 0);
}

TEST_CASE("vectors that do not exist do nothing", "[msix][hostile]") {
  Table table(2);
  table.msix->set_control(kOn);
  for (const int number : {2, 3, 2048, 0xffff}) {
    const auto vector = static_cast<std::uint16_t>(number);
    table.msix->trigger(vector);
    CHECK(table.msix->trigger_fd(vector) == -1);
  }
  CHECK(table.sent() == 0);
  CHECK(table.pending() == 0);
  CHECK(table.msix->trigger_fd(1) == 1001);
}

TEST_CASE("a vector that the host refuses is masked, and is tried again", "[msix]") {
  Table table(1);
  table.source.refuse(true);
  table.msix->set_control(kOn);
  table.set_up(0, 1);
  table.msix->trigger(0);
  CHECK(table.sent() == 0);
  CHECK(table.pending() == 1);
  table.source.refuse(false);
  table.write(8, 2);
  CHECK(table.sent() == 1);
}

TEST_CASE("a reset forgets everything", "[msix]") {
  Table table(3);
  table.msix->set_control(kOn);
  for (std::uint16_t vector = 0; vector < 3; ++vector) table.set_up(vector, vector);
  table.mask(1, true);
  table.msix->trigger(1);
  CHECK(table.source.routes() == 2);
  table.msix->reset();
  CHECK_FALSE(table.msix->enabled());
  CHECK(table.source.routes() == 0);
  CHECK(table.pending() == 0);
  CHECK(table.read(16, 8) == 0);
  CHECK(table.read(24, 8) == std::uint64_t{1} << 32);
  table.msix->set_control(kOn);
  CHECK(table.source.routes() == 0);
  CHECK(table.sent() == 0);
}

TEST_CASE("a table saved is a table restored, and others are refused", "[msix][hostile]") {
  Table table(3);
  table.msix->set_control(kOn);
  table.set_up(0, 5);
  table.set_up(2, 7);
  table.mask(2, true);
  table.msix->trigger(2);
  const MsixState saved = table.msix->state();
  Table other(3);
  REQUIRE(other.msix->restore(saved));
  CHECK(other.msix->state() == saved);
  CHECK(other.source.routes() == 1);
  other.mask(2, false);
  CHECK(other.sent() == 1);

  const auto refused = [&](auto&& spoil) {
    MsixState bad = saved;
    spoil(bad);
    return !other.msix->restore(bad).has_value();
  };
  CHECK(refused([](MsixState& state) { state.entries.pop_back(); }));
  CHECK(refused([](MsixState& state) { state.entries.emplace_back(); }));
  CHECK(refused([](MsixState& state) { state.entries.clear(); }));
  CHECK(refused([](MsixState& state) { state.control = 1; }));
  CHECK(refused([](MsixState& state) { state.entries[1].control = 2; }));
  CHECK(refused([](MsixState& state) { state.entries[1].address = 1; }));
}

}  // namespace
}  // namespace vmm::pci
