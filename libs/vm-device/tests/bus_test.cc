// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_device/bus.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace {

using namespace vmm;
using namespace vmm::vm_device;

/// Remembers its accesses; reads give its mark.
class Probe final : public BusDevice {
 public:
  explicit Probe(std::uint8_t mark) : mark_(mark) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override {
    last_offset = offset;
    ++calls;
    std::ranges::fill(data, std::byte{mark_});
    if (on_access) on_access();
  }
  void write(std::uint64_t offset, std::span<const std::byte> data) override {
    last_offset = offset;
    ++calls;
    written.assign(data.begin(), data.end());
    if (on_access) on_access();
  }

  std::uint64_t last_offset = 0;
  int calls = 0;
  std::vector<std::byte> written;
  std::function<void()> on_access;

 private:
  std::uint8_t mark_;
};

constexpr std::uint64_t kTop = 0xffff'ffff'ffff'ffff;

std::uint8_t read_byte(MmioCaller& caller, std::uint64_t address) {
  std::array<std::byte, 1> data{};
  (void)caller.read(GuestAddress(address), data);
  return std::to_integer<std::uint8_t>(data[0]);
}

TEST_CASE("an access reaches the device whose range contains it, with its offset", "[bus]") {
  MmioBus bus;
  const auto low = std::make_shared<Probe>(std::uint8_t{1});
  const auto high = std::make_shared<Probe>(std::uint8_t{2});
  REQUIRE(bus.add(GuestAddress(0x2000), 0x100, high));
  REQUIRE(bus.add(GuestAddress(0x1000), 0x100, low));
  MmioCaller caller(bus);

  struct Case {
    std::uint64_t address;
    Probe* device;
    std::uint64_t offset;
  };
  const std::vector<Case> cases = {{0x1000, low.get(), 0},  {0x10ff, low.get(), 0xff},
                                   {0x2000, high.get(), 0}, {0x20fe, high.get(), 0xfe},
                                   {0x1001, low.get(), 1},  {0x1002, low.get(), 2}};
  for (const Case& c : cases) {
    CAPTURE(c.address);
    const std::array data = {std::byte{7}};
    REQUIRE(caller.write(GuestAddress(c.address), data));
    CHECK(c.device->last_offset == c.offset);
    CHECK(c.device->written == std::vector{std::byte{7}});
    c.device->last_offset = 99;
    std::array<std::byte, 1> back{};
    REQUIRE(caller.read(GuestAddress(c.address), back));
    CHECK(c.device->last_offset == c.offset);
  }
}

TEST_CASE("an access outside every device, or across an end, calls nobody and reads all ones",
          "[bus][hostile]") {
  struct Case {
    const char* name;
    std::uint64_t address;
    std::size_t size;
    AccessError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"below", 0xfff, 1, AccessError::kNoDevice},
      {"from below into the device", 0xfff, 4, AccessError::kNoDevice},
      {"behind", 0x1100, 1, AccessError::kNoDevice},
      {"at the bottom", 0, 8, AccessError::kNoDevice},
      {"at the top", kTop, 1, AccessError::kNoDevice},
      {"last byte and one more", 0x10ff, 2, AccessError::kCrossesEnd},
      {"whole device and one more", 0x1000, 0x101, AccessError::kCrossesEnd},
      {"past the end of the address space", kTop - 0xff, 0x101, AccessError::kCrossesEnd},
      {"no bytes", 0x1000, 0, AccessError::kEmpty},
  }));
  CAPTURE(c.name);
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  REQUIRE(bus.add(GuestAddress(0x1000), 0x100, device));
  if (c.expected == AccessError::kCrossesEnd) {
    REQUIRE(bus.add(GuestAddress(kTop - 0xff), 0x100, device));
  }
  MmioCaller caller(bus);
  // Once with a cold caller and once with the device as its last hit.
  for (int round = 0; round < 2; ++round) {
    std::vector<std::byte> data(c.size, std::byte{0});
    const auto got = caller.read(GuestAddress(c.address), data);
    REQUIRE_FALSE(got.has_value());
    CHECK(got.error() == c.expected);
    CHECK(std::ranges::count(data, std::byte{0xff}) == static_cast<std::ptrdiff_t>(c.size));
    const auto put = caller.write(GuestAddress(c.address), data);
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error() == c.expected);
    CHECK(device->calls == round);
    read_byte(caller, 0x1000);
  }
}

TEST_CASE("a range is refused when it is empty, passes the end or overlaps", "[bus][hostile]") {
  struct Case {
    const char* name;
    std::uint64_t base;
    std::uint64_t size;
    BusError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"empty", 0x5000, 0, BusError::kEmptyRange},
      {"one byte too many", 2, kTop, BusError::kOutOfSpace},
      {"last byte and one more", kTop, 2, BusError::kOutOfSpace},
      {"the same range", 0x1000, 0x100, BusError::kOverlap},
      {"first byte", 0xfff, 2, BusError::kOverlap},
      {"last byte", 0x10ff, 1, BusError::kOverlap},
      {"inside", 0x1010, 1, BusError::kOverlap},
      {"around", 0, 0x10000, BusError::kOverlap},
      {"everything", 0, kTop, BusError::kOverlap},
  }));
  CAPTURE(c.name);
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  REQUIRE(bus.add(GuestAddress(0x1000), 0x100, device));
  const auto result = bus.add(GuestAddress(c.base), c.size, device);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error() == c.expected);
  CHECK(bus.size() == 1);
  CHECK_FALSE(to_string(make_error(c.expected)).empty());
}

TEST_CASE("ranges may touch, and may reach the end of the address space", "[bus]") {
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  CHECK(bus.add(GuestAddress(1), kTop, device));  // 2^64 - 1 bytes up to the last
  CHECK(bus.add(GuestAddress(0), 1, device));
  PioBus ports;
  CHECK(ports.add(PioAddress(0xfff8), 8, device));
  const auto past = ports.add(PioAddress(0xffff), 2, device);
  REQUIRE_FALSE(past.has_value());
  CHECK(past.error() == BusError::kOutOfSpace);
  const auto none = ports.add(PioAddress(0), 1, nullptr);
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error() == BusError::kNullDevice);
}

TEST_CASE("adding several ranges is all or nothing", "[bus]") {
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  const auto bad = bus.add_all({{GuestAddress(0x1000), 0x10, device},
                                {GuestAddress(0x2000), 0x10, device},
                                {GuestAddress(0x200f), 0x10, device}});
  REQUIRE_FALSE(bad.has_value());
  CHECK(bad.error() == BusError::kOverlap);
  CHECK(bus.size() == 0);
  MmioCaller caller(bus);
  CHECK(read_byte(caller, 0x1000) == 0xff);

  CHECK(bus.add_all({{GuestAddress(0x2000), 0x10, device}, {GuestAddress(0x1000), 0x10, device}}));
  CHECK(bus.size() == 2);
  CHECK(read_byte(caller, 0x1000) == 1);
  CHECK(device.use_count() == 3);
}

TEST_CASE("remove takes any address of the range and returns the device", "[bus]") {
  MmioBus bus;
  auto device = std::make_shared<Probe>(std::uint8_t{1});
  const std::weak_ptr<Probe> watch = device;
  REQUIRE(bus.add(GuestAddress(0x1000), 0x100, std::move(device)));
  MmioCaller caller(bus);
  CHECK(read_byte(caller, 0x1000) == 1);

  const auto missing = bus.remove(GuestAddress(0x1100));
  REQUIRE_FALSE(missing.has_value());
  CHECK(missing.error() == BusError::kNotFound);
  auto removed = bus.remove(GuestAddress(0x10ff));
  REQUIRE(removed.has_value());
  CHECK(removed->get() == watch.lock().get());
  removed->reset();
  CHECK(watch.expired());                    // nothing in the bus keeps it
  CHECK(read_byte(caller, 0x1000) == 0xff);  // not even the caller's last hit
}

TEST_CASE("a device may answer at several ranges, each removed by itself", "[bus]") {
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  REQUIRE(bus.add_all({{GuestAddress(0x1000), 4, device}, {GuestAddress(0x2000), 4, device}}));
  REQUIRE(bus.remove(GuestAddress(0x1000)));
  MmioCaller caller(bus);
  CHECK(read_byte(caller, 0x1000) == 0xff);
  CHECK(read_byte(caller, 0x2000) == 1);
}

TEST_CASE("move keeps size and device, and refuses what add would refuse", "[bus]") {
  MmioBus bus;
  const auto device = std::make_shared<Probe>(std::uint8_t{1});
  REQUIRE(
      bus.add_all({{GuestAddress(0x1000), 0x100, device}, {GuestAddress(0x2000), 0x100, device}}));
  MmioCaller caller(bus);
  CHECK(read_byte(caller, 0x1000) == 1);

  REQUIRE(bus.move(GuestAddress(0x1000), GuestAddress(0x1080)));  // over its own old place
  CHECK(read_byte(caller, 0x1000) == 0xff);
  CHECK(read_byte(caller, 0x117f) == 1);
  CHECK(device->last_offset == 0xff);
  CHECK(bus.move(GuestAddress(0x1080), GuestAddress(0x1fff)).error() == BusError::kOverlap);
  CHECK(bus.move(GuestAddress(0x1080), GuestAddress(kTop)).error() == BusError::kOutOfSpace);
  CHECK(bus.move(GuestAddress(0x1090), GuestAddress(0x5000)).error() == BusError::kNotFound);
  CHECK(read_byte(caller, 0x1080) == 1);
}

TEST_CASE("a device may access the bus and change it from inside an access", "[bus]") {
  MmioBus bus;
  MmioCaller caller(bus);
  const auto outer = std::make_shared<Probe>(std::uint8_t{1});
  const auto inner = std::make_shared<Probe>(std::uint8_t{2});
  REQUIRE(bus.add(GuestAddress(0x1000), 4, outer));
  REQUIRE(bus.add(GuestAddress(0x2000), 4, inner));
  std::uint8_t seen = 0;

  SECTION("forwarding through the same caller") {
    outer->on_access = [&] { seen = read_byte(caller, 0x2000); };
    CHECK(read_byte(caller, 0x1000) == 1);
    CHECK(seen == 2);
  }
  SECTION("removing another device") {
    outer->on_access = [&] { CHECK(bus.remove(GuestAddress(0x2000)).has_value()); };
    CHECK(read_byte(caller, 0x1000) == 1);
    outer->on_access = nullptr;
    CHECK(read_byte(caller, 0x2000) == 0xff);
  }
  SECTION("removing itself does not wait for itself") {
    std::shared_ptr<BusDevice> kept;
    outer->on_access = [&] { kept = *bus.remove(GuestAddress(0x1000)); };
    CHECK(read_byte(caller, 0x1000) == 1);
    CHECK(kept == outer);
    CHECK(read_byte(caller, 0x1000) == 0xff);
  }
  SECTION("adding one") {
    outer->on_access = [&] { CHECK(bus.add(GuestAddress(0x3000), 4, inner)); };
    CHECK(read_byte(caller, 0x1000) == 1);
    CHECK(read_byte(caller, 0x3000) == 2);
  }
}

TEST_CASE("every device of a crowded bus is found at its first and last byte", "[bus]") {
  const auto count = GENERATE(values<std::size_t>({1, 2, 3, 16, 33, 500}));
  CAPTURE(count);
  MmioBus bus;
  std::vector<std::shared_ptr<Probe>> devices;
  for (std::size_t i = 0; i < count; ++i) {
    devices.push_back(std::make_shared<Probe>(static_cast<std::uint8_t>(i % 200)));
    // Neighbours touch in pairs; between pairs there is a gap.
    REQUIRE(bus.add(GuestAddress(0x1000 * i + (i % 2 == 0 ? 0x800 : 0)), 0x800, devices[i]));
  }
  MmioCaller caller(bus);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t base = 0x1000 * i + (i % 2 == 0 ? 0x800 : 0);
    CHECK(read_byte(caller, base) == i % 200);
    CHECK(read_byte(caller, base + 0x7ff) == i % 200);
  }
}

}  // namespace
