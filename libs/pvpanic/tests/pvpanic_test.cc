// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pvpanic/pvpanic.h"

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <thread>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/pci/registers.h"
#include "vmm/pci/segment.h"

namespace vmm::pvpanic {
namespace {

constexpr AddressRange kWindow{.base = GuestAddress(0xc000'0000), .size = 0x1000'0000};

/// A segment with the device on it, decoding.
struct Rig {
  Rig() : Rig([this](Event event) { events.push_back(event); }) {}
  explicit Rig(std::function<void(Event)> on_event) {
    auto created = Pvpanic::create(std::move(on_event));
    REQUIRE(created.has_value());
    device = *created;
    REQUIRE(segment->add(device, {.slot = std::uint8_t{3}}).has_value());
    set(pci::kCommand, std::uint16_t{2});  // memory decoding
    bar = GuestAddress(get<std::uint32_t>(0x10) & ~0xfu);
  }
  template <class T>
  T get(std::uint16_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    segment->read_config(3 << 3, offset, data);
    return load_le<T>(data.data());
  }
  template <class T>
  void set(std::uint16_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    segment->write_config(3 << 3, offset, data);
  }
  template <class T>
  T read(std::uint64_t offset) {
    std::array<std::byte, sizeof(T)> data{};
    (void)mmio.read(GuestAddress(bar.raw() + offset), data);
    return load_le<T>(data.data());
  }
  template <class T>
  void write(std::uint64_t offset, T value) {
    std::array<std::byte, sizeof(T)> data{};
    store_le(data.data(), value);
    (void)mmio.write(GuestAddress(bar.raw() + offset), data);
  }

  vm_device::MmioBus bus;
  vm_device::MmioCaller mmio{bus};
  std::shared_ptr<pci::Segment> segment = *pci::Segment::create(
      {.number = 0, .buses = {.mmio = bus}, .windows = {.memory32 = kWindow}});
  std::vector<Event> events;
  std::shared_ptr<Pvpanic> device;
  GuestAddress bar;
};

TEST_CASE("the function is what drivers look for", "[pvpanic]") {
  Rig rig;
  CHECK(rig.get<std::uint16_t>(0) == 0x1b36);
  CHECK(rig.get<std::uint16_t>(2) == 0x0011);
  CHECK(rig.get<std::uint32_t>(8) >> 8 == 0x08'80'00);
  rig.set(0x10, ~std::uint32_t{0});
  CHECK(rig.get<std::uint32_t>(0x10) == 0xffff'f000);
}

TEST_CASE("the register reads as what the device takes", "[pvpanic]") {
  Rig rig;
  CHECK(rig.read<std::uint8_t>(0) == 3);
  CHECK(rig.read<std::uint16_t>(0) == 3);
  CHECK(rig.read<std::uint32_t>(0) == 3);
  CHECK(rig.read<std::uint8_t>(1) == 0);
  CHECK(rig.read<std::uint64_t>(0xff8) == 0);
}

TEST_CASE("each event is told once", "[pvpanic][hostile]") {
  Rig rig;
  for (int i = 0; i < 3; ++i) rig.write(0, std::uint8_t{1});
  CHECK(rig.events == std::vector{Event::kPanicked});
  for (int i = 0; i < 3; ++i) rig.write(0, std::uint8_t{2});
  CHECK(rig.events == std::vector{Event::kPanicked, Event::kCrashLoaded});
  CHECK(rig.read<std::uint8_t>(0) == 3);

  Rig both;
  both.write(0, std::uint32_t{0xffff'ff03});
  CHECK(both.events == std::vector{Event::kPanicked, Event::kCrashLoaded});
}

TEST_CASE("a device whose events nobody wants takes them", "[pvpanic][hostile]") {
  Rig rig(nullptr);
  rig.write(0, std::uint8_t{3});
  CHECK(rig.read<std::uint8_t>(0) == 3);
}

TEST_CASE("what is no event does nothing", "[pvpanic][hostile]") {
  Rig rig;
  rig.write(0, std::uint8_t{0xfc});
  rig.write(0, std::uint8_t{0});
  rig.write(1, std::uint8_t{1});
  rig.write(4, std::uint32_t{1});
  rig.write(0xff8, ~std::uint64_t{0});
  CHECK(rig.events.empty());
}

TEST_CASE("several vCPUs that panic at once are one event", "[pvpanic]") {
  std::atomic<int> told{0};
  const auto device = Pvpanic::create([&told](Event) { ++told; });
  REQUIRE(device.has_value());
  vm_device::MmioBus mmio;
  const auto segment = *pci::Segment::create(
      {.number = 0, .buses = {.mmio = mmio}, .windows = {.memory32 = kWindow}});
  REQUIRE(segment->add(*device, {.slot = std::uint8_t{0}}).has_value());
  std::array<std::byte, 2> command{std::byte{2}};
  segment->write_config(0, pci::kCommand, command);
  std::array<std::byte, 4> bar{};
  segment->read_config(0, 0x10, bar);
  const GuestAddress at(load_le<std::uint32_t>(bar.data()) & ~0xfu);
  {
    std::vector<std::jthread> vcpus;
    for (int i = 0; i < 4; ++i) {
      vcpus.emplace_back([&mmio, at] {
        vm_device::MmioCaller caller(mmio);
        const std::array one{std::byte{1}};
        for (int n = 0; n < 100; ++n) (void)caller.write(at, one);
      });
    }
  }
  CHECK(told == 1);
}

}  // namespace
}  // namespace vmm::pvpanic
