// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/blobs.h"

#include <catch2/catch.hpp>

#include "builders.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

GuestRange range(std::uint64_t start, std::uint64_t end) {
  return {GuestAddress(start), GuestAddress(end)};
}

TEST_CASE("an initrd goes to the highest free page below the limit", "[initrd]") {
  struct Case {
    const char* name;
    std::uint64_t bytes;
    std::uint64_t limit;
    std::vector<GuestRange> taken;
    std::uint64_t at;
  };
  const auto c = GENERATE(values<Case>({
      {"whole pages", 0x2000, kTop, {}, 0x8e000},
      {"one byte", 1, kTop, {}, 0x8f000},
      {"one byte more than a page", 0x1001, kTop, {}, 0x8e000},
      {"all of the region", 0x10000, kTop, {}, 0x80000},
      {"the limit cuts the region", 0x2000, 0x85800, {}, 0x83000},
      {"the limit is below the region", 0x2000, 0x80000, {}, 0x3e000},
      {"too large for the high region", 0x20000, kTop, {}, 0x20000},
      {"a kernel at the end", 0x2000, kTop, {range(0x8e800, 0x90000)}, 0x8c000},
      {"exactly between two",
       0x2000,
       kTop,
       {range(0x8e000, 0x90000), range(0x1000, 0x8c000)},
       0x8c000},
      {"too little between two",
       0x2000,
       kTop,
       {range(0x1000, 0x8c001), range(0x8e000, 0x90000)},
       0},
      {"a range that takes nothing", 0x2000, kTop, {range(0x8f000, 0x8f000)}, 0x8e000},
      {"a range outside RAM", 0x2000, kTop, {range(0x90000, kTop)}, 0x8e000},
  }));
  CAPTURE(c.name);
  Bytes low(0x40000);
  Bytes high(0x10000);
  const vm_memory::RegionSpan regions[] = {{GuestAddress(0), low}, {GuestAddress(0x80000), high}};
  const auto at =
      place_initrd(vm_memory::MemoryView(regions), c.bytes, GuestAddress(c.limit), c.taken);
  if (c.at == 0) {
    REQUIRE_FALSE(at);
    CHECK(is(at.error(), LoadError::kNoRoomForInitrd));
  } else {
    REQUIRE(at);
    CHECK(at->raw() == c.at);
  }
}

TEST_CASE("an initrd without a place is refused", "[initrd][hostile]") {
  struct Case {
    const char* name;
    std::uint64_t bytes;
    std::uint64_t limit;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"empty", 0, kTop, LoadError::kEmpty},
      {"larger than RAM", 0x10001, kTop, LoadError::kNoRoomForInitrd},
      {"huge", kTop, kTop, LoadError::kNoRoomForInitrd},
      {"limit 0", 1, 0, LoadError::kNoRoomForInitrd},
      {"limit inside its first page", 0x1000, 0x10fff, LoadError::kNoRoomForInitrd},
      {"no page begins below the limit", 1, 0x10fff, LoadError::kNoRoomForInitrd},
  }));
  CAPTURE(c.name);
  const Ram ram(0x10000, 0x10800);
  const auto at = place_initrd(ram.view(), c.bytes, GuestAddress(c.limit), {});
  REQUIRE_FALSE(at);
  CHECK(is(at.error(), c.expected));
  CHECK_FALSE(place_initrd({}, 1, GuestAddress(kTop), {}));
}

TEST_CASE("an initrd is loaded where it was placed, clear of what is taken", "[initrd]") {
  const Ram ram(0x10000);
  const Bytes initrd(0x1800, std::byte{0x5a});
  const ImageSource source = ImageSource::from_bytes(initrd);
  const GuestRange kernel[] = {range(0x1000, 0x4000)};
  const auto placed = load_initrd(ram.view(), source, GuestAddress(0x4000), kernel);
  REQUIRE(placed);
  CHECK(placed->start.raw() == 0x4000);
  CHECK(placed->end.raw() == 0x5800);
  CHECK(ram.at(0x57ff) == std::byte{0x5a});
  CHECK(ram.untouched(0, 0x4000));
  CHECK(ram.untouched(0x5800, 0x10000));
  struct Case {
    std::uint64_t at;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({{0x3fff, LoadError::kInitrdOverlap},
                                        {0, LoadError::kInitrdOverlap},
                                        {0xe801, LoadError::kOutsideRam},
                                        {kTop, LoadError::kOutsideRam}}));
  const auto refused = load_initrd(ram.view(), source, GuestAddress(c.at), kernel);
  REQUIRE_FALSE(refused);
  CHECK(is(refused.error(), c.expected));
  const auto empty = load_initrd(ram.view(), ImageSource::from_bytes({}), GuestAddress(0), {});
  REQUIRE_FALSE(empty);
  CHECK(is(empty.error(), LoadError::kEmpty));
}

TEST_CASE("a blob whose end is 2^64 is refused", "[initrd][dtb][hostile]") {
  const Ram ram(0x1000, kTop - 0xfff);
  Bytes blob;
  put(blob, 0, detail::byte_swap(std::uint32_t{0xd00dfeed}));
  put(blob, 4, detail::byte_swap(std::uint32_t{40}));
  blob.resize(40);
  const ImageSource source = ImageSource::from_bytes(blob);
  for (const std::uint64_t at : {kTop - 39, kTop - 47}) {
    const auto initrd = load_initrd(ram.view(), source, GuestAddress(at), {});
    const auto tree = load_device_tree(ram.view(), source, GuestAddress(at));
    CHECK(initrd.has_value() == (at == kTop - 47));
    CHECK(tree.has_value() == (at == kTop - 47));
    if (!initrd) CHECK(is(initrd.error(), LoadError::kOutsideRam));
    if (!tree) CHECK(is(tree.error(), LoadError::kOutsideRam));
  }
}

Bytes device_tree(std::uint32_t magic, std::uint32_t total, std::size_t bytes) {
  Bytes blob;
  put(blob, 0, detail::byte_swap(magic));
  put(blob, 4, detail::byte_swap(total));
  blob.resize(bytes);
  return blob;
}

TEST_CASE("a device tree is loaded up to the size in its header", "[dtb]") {
  const Ram ram(4 * kMiB);
  const Bytes blob = device_tree(0xd00dfeed, 100, 120);
  const auto placed =
      load_device_tree(ram.view(), ImageSource::from_bytes(blob), GuestAddress(0x1000));
  REQUIRE(placed);
  CHECK(placed->end.raw() == 0x1000 + 100);
  CHECK(ram.at(0x1000) == std::byte{0xd0});
  CHECK(ram.untouched(0x1000 + 100, 4 * kMiB));
  const Bytes largest = device_tree(0xd00dfeed, 0x200000, 0x200000);
  CHECK(load_device_tree(ram.view(), ImageSource::from_bytes(largest), GuestAddress(0)));
}

TEST_CASE("a bad device tree is refused", "[dtb][hostile]") {
  struct Case {
    const char* name;
    Bytes blob;
    std::uint64_t at;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"empty", {}, 0, LoadError::kBadDeviceTree},
      {"less than a header", device_tree(0xd00dfeed, 39, 39), 0, LoadError::kBadDeviceTree},
      {"wrong magic", device_tree(0xd00dfeee, 40, 40), 0, LoadError::kBadDeviceTree},
      {"a size below the header", device_tree(0xd00dfeed, 39, 40), 0, LoadError::kBadDeviceTree},
      {"a size past the end", device_tree(0xd00dfeed, 41, 40), 0, LoadError::kBadDeviceTree},
      {"over 2 MiB", device_tree(0xd00dfeed, 40, 0x200001), 0, LoadError::kDeviceTreeTooLarge},
      {"past RAM", device_tree(0xd00dfeed, 40, 40), 4 * kMiB - 32, LoadError::kOutsideRam},
      {"at 4", device_tree(0xd00dfeed, 40, 40), 4, LoadError::kDeviceTreeAddress},
      {"past 2^64", device_tree(0xd00dfeed, 40, 40), kTop - 7, LoadError::kOutsideRam},
  }));
  CAPTURE(c.name);
  const Ram ram(4 * kMiB);
  const auto placed =
      load_device_tree(ram.view(), ImageSource::from_bytes(c.blob), GuestAddress(c.at));
  REQUIRE_FALSE(placed);
  CHECK(is(placed.error(), c.expected));
  CHECK(ram.untouched());
}

TEST_CASE("firmware is loaded at the start of its window", "[firmware]") {
  const Ram ram(0x10000);
  const Bytes firmware(0x1800, std::byte{0x5a});
  const ImageSource source = ImageSource::from_bytes(firmware);
  const auto loaded = load_firmware(ram.view(), source, range(0x2000, 0x3800));
  REQUIRE(loaded);
  CHECK(loaded->start.raw() == 0x2000);
  CHECK(loaded->end.raw() == 0x3800);
  CHECK(ram.untouched(0, 0x2000));
  CHECK(ram.at(0x2000) == std::byte{0x5a});
  CHECK(ram.at(0x37ff) == std::byte{0x5a});
  CHECK(ram.untouched(0x3800, 0x10000));
}

TEST_CASE("firmware that does not fit is refused", "[firmware][hostile]") {
  struct Case {
    const char* name;
    std::size_t bytes;
    GuestRange window;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"empty", 0, range(0, 0x1000), LoadError::kEmpty},
      {"one byte too many", 0x1001, range(0, 0x1000), LoadError::kFirmwareTooLarge},
      {"a window that ends before it starts", 1, range(1, 0), LoadError::kFirmwareTooLarge},
      {"without RAM", 0x2000, range(0xf000, 0x12000), LoadError::kOutsideRam},
  }));
  CAPTURE(c.name);
  const Ram ram(0x10000);
  const Bytes firmware(c.bytes);
  const auto loaded = load_firmware(ram.view(), ImageSource::from_bytes(firmware), c.window);
  REQUIRE_FALSE(loaded);
  CHECK(is(loaded.error(), c.expected));
  CHECK(ram.untouched());
}

}  // namespace
}  // namespace vmm::linux_loader
