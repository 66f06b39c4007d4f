// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/simulated_adapter.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <vector>

namespace vmm::virtio_i2c {
namespace {

constexpr Address kChip{.number = 0x50};
constexpr Address kOther{.number = 0x51};

struct Bus {
  Result<void> write(Address to, std::vector<std::byte> bytes) const {
    const Message message{.address = to, .data = bytes};
    return adapter->transfer({&message, 1});
  }
  [[nodiscard]] std::vector<std::byte> read(std::size_t count) const {
    std::vector<std::byte> bytes(count);
    const Message message{.address = kChip, .read = true, .data = bytes};
    REQUIRE(adapter->transfer({&message, 1}));
    return bytes;
  }

  std::shared_ptr<SimulatedAdapter> adapter = *SimulatedAdapter::create(std::array{kChip, kOther});
};

TEST_CASE("a simulated chip keeps what is written where its position is", "[simulated]") {
  const Bus bus;
  REQUIRE(bus.write(kChip, {std::byte{16}, std::byte{1}, std::byte{2}}));
  CHECK(*bus.adapter->peek(kChip, 16) == 1);
  CHECK(*bus.adapter->peek(kChip, 17) == 2);
  CHECK(*bus.adapter->peek(kOther, 16) == 0);
  REQUIRE(bus.write(kChip, {std::byte{16}}));
  CHECK(bus.read(1) == std::vector{std::byte{1}});
  CHECK(bus.read(2) == std::vector{std::byte{2}, std::byte{0}});
}

TEST_CASE("the position of a simulated chip goes round", "[simulated]") {
  const Bus bus;
  REQUIRE(bus.write(kChip, {std::byte{255}, std::byte{7}, std::byte{8}}));
  CHECK(*bus.adapter->peek(kChip, 255) == 7);
  CHECK(*bus.adapter->peek(kChip, 0) == 8);
  REQUIRE(bus.adapter->poke(kChip, 255, 9));
  REQUIRE(bus.write(kChip, {std::byte{255}}));
  CHECK(bus.read(2) == std::vector{std::byte{9}, std::byte{8}});
}

TEST_CASE("where there is no chip nobody acknowledges", "[simulated]") {
  const Bus bus;
  const auto nobody = bus.write({.number = 0x52}, {});
  REQUIRE_FALSE(nobody);
  CHECK(nobody.error().is_os(ENXIO));
  CHECK(bus.write(kChip, {}));
  CHECK_FALSE(bus.adapter->peek({.number = 0x52}, 0));
  CHECK_FALSE(bus.adapter->poke({.number = 0x52}, 0, 1));
}

TEST_CASE("what is before an absent chip in a transaction happened", "[simulated]") {
  const Bus bus;
  std::array bytes{std::byte{3}, std::byte{4}};
  const std::array messages{Message{.address = kChip, .data = bytes},
                            Message{.address = {.number = 0x52}, .data = bytes},
                            Message{.address = kOther, .data = bytes}};
  CHECK_FALSE(bus.adapter->transfer(messages));
  CHECK(*bus.adapter->peek(kChip, 3) == 4);
  CHECK(*bus.adapter->peek(kOther, 3) == 0);
}

TEST_CASE("chips have addresses of their own", "[simulated]") {
  CHECK_FALSE(SimulatedAdapter::create(std::array{kChip, kChip}));
  CHECK_FALSE(SimulatedAdapter::create(std::array{Address{.number = 0x78}}));
  CHECK(SimulatedAdapter::create(std::array{Address{.number = 0x50, .ten_bit = true}, kChip}));
}

}  // namespace
}  // namespace vmm::virtio_i2c
