// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/config_space.h"

#include <catch2/catch.hpp>
#include <set>
#include <vector>

namespace vmm::pci {
namespace {

constexpr Header kHeader{.vendor = 0x1af4,
                         .device = 0x1044,
                         .revision = 1,
                         .class_code = 0x01'80'02,
                         .subsystem_vendor = 0x1111,
                         .subsystem = 0x2222,
                         .interrupt_pin = 2,
                         .multifunction = true};

std::vector<std::byte> ones(std::size_t bytes) { return std::vector(bytes, std::byte{0xff}); }

TEST_CASE("a header says what it was given", "[config]") {
  const ConfigSpace config(kHeader);
  CHECK(config.get<std::uint16_t>(kVendorId) == 0x1af4);
  CHECK(config.get<std::uint16_t>(kDeviceId) == 0x1044);
  CHECK(config.get<std::uint32_t>(kRevision) == 0x01'80'02'01);
  CHECK(config.get<std::uint8_t>(kHeaderType) == 0x80);
  CHECK(config.get<std::uint16_t>(kSubsystemVendorId) == 0x1111);
  CHECK(config.get<std::uint16_t>(kSubsystemId) == 0x2222);
  CHECK(config.get<std::uint8_t>(kInterruptPin) == 2);
  CHECK(config.get<std::uint8_t>(kCapabilities) == 0);
  CHECK((config.get<std::uint16_t>(kStatus) & kStatusCapabilities) == 0);
}

TEST_CASE("the guest writes the command, the interrupt line and the cache line size only",
          "[config][hostile]") {
  for (const std::size_t width : {1u, 2u, 4u, 8u, 3u}) {
    ConfigSpace config(kHeader);
    const ConfigSpace before(kHeader);
    for (std::size_t at = 0; at < config.size(); at += width) config.write(at, ones(width));
    for (std::uint16_t at = 0; at < config.size(); ++at) {
      const auto was = before.get<std::uint8_t>(at);
      unsigned expected = was;
      if (at == kCommand) expected = 0x47;
      if (at == kCommand + 1) expected = 0x05;
      if (at == kInterruptLine || at == 0x0c) expected = 0xff;
      CAPTURE(at, width);
      CHECK(unsigned{config.get<std::uint8_t>(at)} == expected);
    }
  }
}

TEST_CASE("error bits of the status are cleared by ones and not set", "[config]") {
  ConfigSpace config(kHeader);
  config.set<std::uint16_t>(kStatus, 0xf900);
  std::array<std::byte, 2> some{std::byte{0}, std::byte{0x80}};
  config.write(kStatus, some);
  CHECK(config.get<std::uint16_t>(kStatus) == 0x7900);
  config.write(kStatus, ones(2));
  CHECK(config.get<std::uint16_t>(kStatus) == 0);
}

TEST_CASE("what lies beyond the space reads as ones and is not written", "[config][hostile]") {
  struct Case {
    ConfigSpace::Kind kind;
    std::uint64_t offset;
    std::size_t bytes;
    std::size_t inside;
  };
  using Kind = ConfigSpace::Kind;
  for (const Case& c :
       {Case{Kind::kConventional, 255, 2, 1}, Case{Kind::kConventional, 256, 4, 0},
        Case{Kind::kConventional, 4095, 1, 0}, Case{Kind::kExpress, 4095, 1, 1},
        Case{Kind::kExpress, 4093, 8, 3}, Case{Kind::kExpress, 4096, 4, 0},
        Case{Kind::kExpress, ~std::uint64_t{0}, 8, 0}, Case{Kind::kExpress, 1u << 31, 1, 0}}) {
    ConfigSpace config(kHeader, c.kind);
    std::vector<std::byte> data(c.bytes, std::byte{0x55});
    config.write(c.offset, data);
    config.read(c.offset, data);
    CAPTURE(c.offset, c.bytes);
    for (std::size_t i = 0; i < c.bytes; ++i) {
      CHECK(data[i] == (i < c.inside ? std::byte{0} : std::byte{0xff}));
    }
  }
}

// Follows the list as a driver does: ids by offset.
std::vector<std::pair<std::uint8_t, std::uint8_t>> list(const ConfigSpace& config) {
  std::vector<std::pair<std::uint8_t, std::uint8_t>> found;
  std::uint8_t at = config.get<std::uint8_t>(kCapabilities);
  while (at != 0 && found.size() < 64) {
    found.emplace_back(at, config.get<std::uint8_t>(at));
    at = config.get<std::uint8_t>(static_cast<std::uint16_t>(at + 1));
  }
  return found;
}

TEST_CASE("capabilities are a list, aligned, whose bodies are masked", "[config]") {
  ConfigSpace config(kHeader);
  const std::array<std::byte, 3> body{std::byte{1}, std::byte{2}, std::byte{3}};
  const std::array<std::byte, 1> mask{std::byte{0xf0}};
  CHECK(*config.add_capability(kCapabilityVendor, body, mask) == 0x40);
  CHECK(*config.add_capability(kCapabilityMsix, body) == 0x48);
  CHECK(*config.add_capability(kCapabilityMsi, {}) == 0x50);
  using List = std::vector<std::pair<std::uint8_t, std::uint8_t>>;
  CHECK(list(config) == List{{0x40, 0x09}, {0x48, 0x11}, {0x50, 0x05}});
  CHECK((config.get<std::uint16_t>(kStatus) & kStatusCapabilities) != 0);
  config.write(0x40, ones(0x20));
  CHECK(config.get<std::uint32_t>(0x40) == 0x02f1'4809);
  CHECK(config.get<std::uint32_t>(0x48) == 0x0201'5011);
}

TEST_CASE("capabilities end where their space ends", "[config]") {
  ConfigSpace config(kHeader);
  int added = 0;
  while (config.add_capability(kCapabilityVendor, std::vector<std::byte>(14))) ++added;
  CHECK(added == (256 - 64) / 16);
  CHECK(list(config).size() == 12);
  CHECK(config.add_capability(kCapabilityVendor, {}).error() == PciError::kNoCapabilityRoom);
  ConfigSpace fresh(kHeader);
  CHECK(fresh.add_capability(1, std::vector<std::byte>(191)).error() ==
        PciError::kNoCapabilityRoom);
  CHECK(fresh.add_capability(1, std::vector<std::byte>(190)));
}

TEST_CASE("extended capabilities are a list of their own", "[config]") {
  ConfigSpace config(kHeader);
  const std::vector<std::byte> body(8, std::byte{7});
  CHECK(*config.add_extended_capability({.id = 0x000d, .version = 1}, body) == 0x100);
  CHECK(*config.add_extended_capability({.id = 0x0010, .version = 0xf}, body) == 0x10c);
  CHECK(config.get<std::uint32_t>(0x100) == 0x10c1'000d);
  CHECK(config.get<std::uint32_t>(0x10c) == 0x000f'0010);
  CHECK(config.add_extended_capability({.id = 1, .version = 1}, std::vector<std::byte>(4096))
            .error() == PciError::kNoCapabilityRoom);
  ConfigSpace small(kHeader, ConfigSpace::Kind::kConventional);
  CHECK(small.add_extended_capability({.id = 1, .version = 1}, {}).error() ==
        PciError::kNoCapabilityRoom);
}

TEST_CASE("a saved space is taken when it is one of this function", "[config][hostile]") {
  ConfigSpace config(kHeader);
  config.set_writable(kBar0, std::uint32_t{0xffff'f000});
  ConfigSpace saved = config;
  saved.set(kBar0, std::uint32_t{0xc000'0000});
  saved.set(kCommand, std::uint16_t{kCommandMemory});
  REQUIRE(config.restore(saved.state()));
  CHECK(config.get<std::uint32_t>(kBar0) == 0xc000'0000);
  CHECK(config.get<std::uint16_t>(kCommand) == kCommandMemory);

  for (const std::uint16_t at : {kVendorId, kBar0, kHeaderType, kCapabilities, kInterruptPin,
                                 std::uint16_t{0x40}, std::uint16_t{0xfff}}) {
    std::vector<std::byte> bad(saved.state().begin(), saved.state().end());
    bad[at] ^= std::byte{1};
    CAPTURE(at);
    CHECK(config.restore(bad).error() == PciError::kBadState);
    bad.pop_back();
    CHECK(config.restore(bad).error() == PciError::kBadState);
  }
  CHECK(config.get<std::uint32_t>(kBar0) == 0xc000'0000);
}

}  // namespace
}  // namespace vmm::pci
