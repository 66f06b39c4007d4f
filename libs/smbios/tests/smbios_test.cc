// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/smbios/smbios.h"

#include <catch2/catch.hpp>

#include "tests/walk.h"

namespace vmm::smbios {
namespace {

constexpr GuestAddress kAt{0xf'0000};
constexpr std::size_t kLimit = 0xfff0;

std::vector<Structure> built(const Identity& identity) {
  const auto all = build(identity, kAt, kLimit);
  REQUIRE(all.has_value());
  auto found = walk(*all, kAt.raw());
  REQUIRE(found.has_value());
  return *std::move(found);
}

std::vector<unsigned> types(const std::vector<Structure>& all) {
  std::vector<unsigned> out;
  for (const Structure& structure : all) out.push_back(structure.type);
  return out;
}

TEST_CASE("an identity without anything has its structures all the same", "[smbios]") {
  const auto all = built({});
  CHECK(types(all) == std::vector<unsigned>{0, 1, 3, 127});
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(all[i].handle == i);
    CHECK(all[i].strings.empty());
  }
  CHECK(all[0].formatted.size() == 0x1a);
  CHECK(all[1].formatted.size() == 0x1b);
  CHECK(all[2].formatted.size() == 0x16);
  CHECK(all[3].formatted.size() == 4);
  CHECK(all[0].formatted[0x13] == std::byte{1 << 4});  // a virtual machine
}

TEST_CASE("each string is where the specification has it", "[smbios]") {
  const std::vector<std::string> oem{"io.systemd.credential:a=b", "second"};
  const auto all = built({.bios_vendor = "bv",
                          .bios_version = "bn",
                          .manufacturer = "m",
                          .product_name = "p",
                          .version = "v",
                          .serial_number = "s",
                          .sku_number = "k",
                          .family = "f",
                          .chassis_asset_tag = "tag",
                          .oem_strings = oem});
  CHECK(types(all) == std::vector<unsigned>{0, 1, 3, 11, 127});
  CHECK(all[0].text(4) == "bv");
  CHECK(all[0].text(5) == "bn");
  CHECK(all[0].text(8).empty());
  CHECK(all[1].text(4) == "m");
  CHECK(all[1].text(5) == "p");
  CHECK(all[1].text(6) == "v");
  CHECK(all[1].text(7) == "s");
  CHECK(all[1].text(0x19) == "k");
  CHECK(all[1].text(0x1a) == "f");
  CHECK(all[2].text(4) == "m");
  CHECK(all[2].text(8) == "tag");
  CHECK(all[3].formatted[4] == std::byte{2});
  CHECK(all[3].strings == oem);
}

TEST_CASE("the first three fields of a UUID are little-endian", "[smbios]") {
  const auto uuid = parse_uuid("00112233-4455-6677-8899-aAbBcCdDeEfF");
  REQUIRE(uuid.has_value());
  CHECK(uuid->front() == 0);
  CHECK(uuid->back() == 0xff);
  const auto all = built({.uuid = *uuid});
  constexpr std::uint8_t kWire[] = {0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66,
                                    0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
  CHECK(std::memcmp(&all[1].formatted[8], kWire, sizeof(kWire)) == 0);
}

TEST_CASE("what is no UUID is refused", "[smbios][hostile]") {
  for (const char* text :
       {"", "00112233-4455-6677-8899-aabbccddeef", "00112233-4455-6677-8899-aabbccddeefff",
        "00112233x4455-6677-8899-aabbccddeeff", "0011223--4455-6677-8899-aabbccddeeff",
        "g0112233-4455-6677-8899-aabbccddeeff", "00112233-4455-6677-8899aabb-ccddeeff"}) {
    CHECK_FALSE(parse_uuid(text).has_value());
  }
}

SmbiosError refused(const Identity& identity, std::size_t limit = kLimit) {
  const auto all = build(identity, kAt, limit);
  REQUIRE_FALSE(all.has_value());
  return all.error();
}

TEST_CASE("strings that would end the list early are refused", "[smbios][hostile]") {
  const std::vector<std::string> empty{"a", ""};
  CHECK(refused({.oem_strings = empty}) == SmbiosError::kBadString);
  const std::vector<std::string> nul{std::string("a\0b", 3)};
  CHECK(refused({.oem_strings = nul}) == SmbiosError::kBadString);
  CHECK(refused({.family = std::string_view("\0", 1)}) == SmbiosError::kBadString);
}

TEST_CASE("255 OEM strings are the most", "[smbios][hostile]") {
  std::vector<std::string> many(255, "x");
  const auto all = built({.oem_strings = many});
  CHECK(all[3].formatted[4] == std::byte{255});
  CHECK(all[3].strings == many);
  many.emplace_back("x");
  CHECK(refused({.oem_strings = many}) == SmbiosError::kTooManyStrings);
}

TEST_CASE("tables fill their place and no more", "[smbios][hostile]") {
  const std::size_t without = build({}, kAt, kLimit)->size();
  // Type 11: five bytes, the string with its NUL, and the end.
  const std::size_t most = kLimit - without - 5 - 2;
  std::vector<std::string> one{std::string(most, 'x')};
  const auto all = build({.oem_strings = one}, kAt, kLimit);
  REQUIRE(all.has_value());
  CHECK(all->size() == kLimit);
  CHECK(walk(*all, kAt.raw()).has_value());
  one[0] += 'x';
  CHECK(refused({.oem_strings = one}) == SmbiosError::kTooLarge);
  one[0].resize(1 << 20, 'x');
  CHECK(refused({.oem_strings = one}) == SmbiosError::kTooLarge);
  CHECK(refused({}, without - 1) == SmbiosError::kTooLarge);
  CHECK(refused({}, 31) == SmbiosError::kTooLarge);
  CHECK(refused({}, 0) == SmbiosError::kTooLarge);
  CHECK(build({}, kAt, without).has_value());
}

}  // namespace
}  // namespace vmm::smbios
