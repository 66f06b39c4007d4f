// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/address.h"

#include <catch2/catch.hpp>

namespace vmm::virtio_i2c {
namespace {

TEST_CASE("addresses are written as 5.16.6.1 says", "[address]") {
  struct Row {
    std::uint16_t field;
    Address address;
  };
  for (const Row& row :
       {Row{0x0000, {.number = 0}}, Row{0x0040, {.number = 0x20}}, Row{0x00ee, {.number = 0x77}},
        Row{0x00f0, {0, true}}, Row{0x55f0, {0x55, true}}, Row{0xfff6, {0x3ff, true}},
        Row{0x01f2, {0x101, true}}, Row{0x80f4, {0x280, true}}}) {
    CAPTURE(row.field);
    const auto address = Address::from_wire(row.field);
    REQUIRE(address);
    CHECK(*address == row.address);
    CHECK(row.address.to_wire() == row.field);
  }
}

TEST_CASE("each field is an address of one field, or none", "[address]") {
  int addresses = 0;
  for (std::uint32_t field = 0; field <= 0xffff; ++field) {
    const auto address = Address::from_wire(static_cast<std::uint16_t>(field));
    if (!address) continue;
    ++addresses;
    REQUIRE(address->is_valid());
    REQUIRE(address->to_wire() == field);
  }
  CHECK(addresses == 0x78 + 0x400);
}

TEST_CASE("fields that are no address", "[address][hostile]") {
  for (const int field : {0x0001, 0x0041, 0x0100, 0x0140, 0x00f1, 0x00f8, 0x00fe, 0xffff, 0x8000}) {
    CAPTURE(field);
    CHECK_FALSE(Address::from_wire(static_cast<std::uint16_t>(field)));
  }
}

TEST_CASE("numbers that no driver can say are not valid", "[address]") {
  CHECK_FALSE(Address{.number = 0x78}.is_valid());
  CHECK_FALSE(Address{.number = 0x400, .ten_bit = true}.is_valid());
}

}  // namespace
}  // namespace vmm::virtio_i2c
