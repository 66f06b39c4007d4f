// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/segment.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "board.h"
#include "errors.h"

namespace vmm::pci {
namespace {

std::shared_ptr<TestFunction> function() { return std::make_shared<TestFunction>(); }

TEST_CASE("devices get the slots they name, the others the lowest free ones", "[segment]") {
  Board board;
  Segment& segment = *board.segment;
  REQUIRE(segment.reserve(1));
  REQUIRE(segment.reserve(31));
  CHECK(segment.add(function())->slot == 0);
  CHECK(segment.add(function())->slot == 2);
  CHECK(segment.add(function(), {.slot = 1})->slot == 1);
  CHECK(segment.add(function())->slot == 3);
  CHECK(segment.occupied() == 0b1111);
  CHECK(is_error(segment.add(function(), {.slot = 1}), PciError::kSlotTaken));
  CHECK(is_error(segment.add(function(), {.slot = 32}), PciError::kBadSlot));
  CHECK(is_error(segment.add(function(), {.slot = 1, .function = 8}), PciError::kBadSlot));
  CHECK(is_error(segment.add(function(), {.slot = 9, .function = 1}), PciError::kNoDevice));
  CHECK(segment.add(function(), {.slot = 1, .function = 7})->devfn() == 0x0f);
  CHECK(segment.reserve(32).error() == PciError::kBadSlot);
  CHECK(segment.reserve(1).error() == PciError::kSlotTaken);
  CHECK(segment.reserve(31).error() == PciError::kSlotTaken);
  while (segment.add(function())) continue;
  CHECK(segment.occupied() == 0x7fff'ffff);
  CHECK(is_error(segment.add(function()), PciError::kNoFreeSlot));
  CHECK(segment.add(function(), {.slot = 31}));
}

TEST_CASE("a removed device is gone at once, and its slot is free", "[segment][hotplug]") {
  Board board;
  const auto device = board.add({kBar32, kBarIo});
  const std::uint8_t slot = device->attached.slot;
  REQUIRE(board.segment->add(function(), {.slot = slot, .function = 3}));
  board.command(*device, kAllOn);
  device->endpoint.set_intx(true);
  REQUIRE(board.mmio.size() == 1);
  REQUIRE(board.lines[0].level());
  REQUIRE(board.segment->remove(slot));
  CHECK(board.mmio.size() == 0);
  CHECK(board.ports.size() == 0);
  CHECK_FALSE(board.lines[0].level());
  CHECK(device.use_count() == 1);
  CHECK(board.segment->occupied() == 0);
  for (const std::uint16_t at : {kVendorId, kCommand, kBar0, kFirstExtendedCapability}) {
    CHECK(board.config<std::uint32_t>(*device, at) == 0xffff'ffff);
  }
  board.command(*device, kAllOn);
  device->write_config(kCommand, std::array<std::byte, 1>{std::byte{0xff}});  // a late vCPU
  CHECK(board.mmio.size() == 0);
  CHECK(board.segment->remove(slot).error() == PciError::kNoDevice);
  CHECK(board.segment->remove(32).error() == PciError::kBadSlot);
  const auto next = board.add({kBar32});
  CHECK(next->attached.slot == slot);
  CHECK(board.config<std::uint16_t>(*next, kVendorId) == 0x1234);
}

TEST_CASE("devices come and go a thousand times and leave nothing", "[segment][hotplug]") {
  Board board;
  const auto stays = board.add({kBar32, kBar64, kBarIo});
  board.command(*stays, kAllOn);
  for (int i = 0; i < 1000; ++i) {
    const auto device = board.add({kBar32, kBar64, kBarIo});
    REQUIRE(device->attached.slot == 1);
    board.command(*device, kAllOn);
    REQUIRE(board.mmio.size() == 4);
    device->endpoint.set_intx(true);
    REQUIRE(board.segment->remove(1));
  }
  CHECK(board.mmio.size() == 2);
  CHECK(board.ports.size() == 1);
}

TEST_CASE("segments have numbers, slots and requester ids of their own", "[segment]") {
  Board first(0);
  Board second(95);
  const auto a = first.add();
  const auto b = second.add();
  CHECK(a->attached == FunctionAddress{.segment = 0, .slot = 0, .function = 0});
  CHECK(b->attached == FunctionAddress{.segment = 95, .slot = 0, .function = 0});
  CHECK(second.add()->device_id == 0x108);
  CHECK(second.segment->number() == 95);
}

TEST_CASE("two segments share the buses, each within its windows", "[segment]") {
  vm_device::MmioBus mmio;
  const AddressRange low{.base = GuestAddress(0xc000'0000), .size = 0x1000};
  const AddressRange next{.base = GuestAddress(0xc000'1000), .size = 0x1000};
  std::vector<std::shared_ptr<Segment>> segments;
  std::vector<std::shared_ptr<TestFunction>> functions;
  for (const AddressRange& window : {low, next}) {
    segments.push_back(*Segment::create({.number = static_cast<std::uint16_t>(segments.size()),
                                         .buses = {.mmio = mmio},
                                         .windows = {.memory32 = window}}));
    functions.push_back(std::make_shared<TestFunction>(std::vector{kBar32}));
    REQUIRE(segments.back()->add(functions.back()));
    functions.back()->write_config(kCommand, std::array<std::byte, 1>{std::byte{kCommandMemory}});
  }
  CHECK(functions[0]->endpoint.decoded_at(0) == 0xc000'0000);
  CHECK(functions[1]->endpoint.decoded_at(0) == 0xc000'1000);
  std::array<std::byte, 4> address{};
  store_le(address.data(), std::uint32_t{0xc000'0000});
  functions[1]->write_config(kBar0, address);
  CHECK_FALSE(functions[1]->endpoint.decoded_at(0));
}

TEST_CASE("windows that cannot be are refused", "[segment]") {
  struct Case {
    const char* name;
    Windows windows;
    bool good;
  };
  const auto range = [](std::uint64_t base, std::uint64_t size) {
    return AddressRange{.base = GuestAddress(base), .size = size};
  };
  const std::uint64_t gib4 = std::uint64_t{1} << 32;
  for (const Case& c : {
           Case{"none", {}, true},
           Case{"up to 4 GiB", {.memory32 = range(gib4 - 0x1000, 0x1000)}, true},
           Case{"beyond 4 GiB", {.memory32 = range(gib4 - 0x1000, 0x2000)}, false},
           Case{"empty", {.memory32 = range(0xc000'0000, 0)}, false},
           Case{"empty above", {.memory64 = range(gib4, 0)}, false},
           Case{"past the last address", {.memory64 = range(~std::uint64_t{0}, 2)}, false},
           Case{"overlapping",
                {.memory32 = range(0xc000'0000, 0x1000), .memory64 = range(0xc000'0800, 0x1000)},
                false},
           Case{"the other way round",
                {.memory32 = range(0xc000'0800, 0x800), .memory64 = range(0xc000'0000, 0x1000)},
                false},
           Case{"all ports", {.ports = PortRange{.base = 0, .size = 0x1'0000}}, true},
           Case{"ports beyond", {.ports = PortRange{.base = 1, .size = 0x1'0000}}, false},
       }) {
    vm_device::MmioBus mmio;
    CAPTURE(c.name);
    const auto segment = Segment::create({.buses = {.mmio = mmio}, .windows = c.windows});
    CHECK(segment.has_value() == c.good);
    if (!segment) CHECK(segment.error() == PciError::kBadWindow);
  }
}

TEST_CASE("config accesses, moves and removals at the same time", "[segment][threads]") {
  Board board;
  const auto stays = board.add({kBar32});
  std::atomic<bool> stop{false};
  std::atomic<std::uint64_t> odd{0};
  const auto look = [&](std::uint64_t address) {
    vm_device::MmioCaller caller(board.mmio);
    std::array<std::byte, 4> data{};
    while (!stop) {
      (void)caller.read(GuestAddress(address), data);
      const auto byte = std::to_integer<std::uint8_t>(data[0]);
      if (byte != 0xff && byte != 0xb0) ++odd;
      const auto vendor = board.config<std::uint16_t>(*stays, kVendorId);
      if (vendor != 0x1234) ++odd;
    }
  };
  std::jthread one(look, 0xc000'0000);
  std::jthread two(look, 0xc010'0000);
  for (int i = 0; i < 300; ++i) {
    const auto device = board.add({kBar32});
    board.set_bar(*device, kBar32, i % 2 == 0 ? 0xc010'0000 : 0xc000'0000);
    board.command(*device, kMemoryOn);
    board.set_bar(*stays, kBar32, i % 3 == 0 ? 0xc010'0000 : 0xc000'0000);
    board.command(*stays, i % 5 == 0 ? 0 : kMemoryOn);
    REQUIRE(board.segment->remove(device->attached.slot));
  }
  stop = true;
  one.join();
  two.join();
  CHECK(odd == 0);
  board.command(*stays, kMemoryOn);
  CHECK(board.mmio.size() == 1);
}

TEST_CASE("errors have words", "[segment]") { check_words(PciError::kBadState); }

}  // namespace
}  // namespace vmm::pci
