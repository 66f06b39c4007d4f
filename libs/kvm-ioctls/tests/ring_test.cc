// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "machine.h"
#include "vmm/kvm_ioctls/coalesced_ring.h"
#include "vmm/kvm_ioctls/dirty_ring.h"
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {
namespace {

// KVM's half of the coalesced ring.
struct CoalescedWriter {
  std::byte* page;

  void indices(std::uint32_t first, std::uint32_t last) const {
    std::memcpy(page, &first, 4);
    std::memcpy(page + 4, &last, 4);
  }
  [[nodiscard]] std::uint32_t first() const {
    std::uint32_t value = 0;
    std::memcpy(&value, page, 4);
    return value;
  }
  void entry(std::size_t index, std::uint64_t address, std::uint32_t bytes,
             std::uint32_t pio) const {
    std::byte* at = page + 8 + 24 * index;
    std::memcpy(at, &address, 8);
    std::memcpy(at + 8, &bytes, 4);
    std::memcpy(at + 12, &pio, 4);
    std::memset(at + 16, static_cast<int>(0x10 + index % 64), 8);
  }
};

bool bad_ring(const Result<std::optional<CoalescedWrite>>& result) {
  return !result && result.error().domain().name == "kvm" &&
         result.error().code() == static_cast<int>(KvmError::kBadRing);
}

TEST_CASE("coalesced stores come out in order and the index wraps at the ring's end") {
  auto page = testing::ram(4096);
  const CoalescedWriter kvm{page.data()};
  CoalescedRing ring(std::move(page));
  REQUIRE(ring.slots() == 170);  // (4096 - 8) / 24
  kvm.indices(169, 1);
  kvm.entry(169, 0x1000, 4, 0);
  kvm.entry(0, 0x3f8, 1, 1);

  auto got = ring.next();
  REQUIRE((got && *got));
  CHECK((**got).address == 0x1000);
  CHECK((**got).span().size() == 4);
  CHECK_FALSE((**got).pio);
  CHECK((**got).span()[0] == std::byte{0x10 + 169 % 64});
  CHECK(kvm.first() == 0);
  got = ring.next();
  REQUIRE((got && *got));
  CHECK((**got).pio);
  CHECK((**got).span().size() == 1);
  got = ring.next();
  REQUIRE(got);
  CHECK_FALSE(got->has_value());
}

TEST_CASE("a coalesced ring with indices or lengths out of range is an error", "[hostile]") {
  struct Row {
    std::uint32_t first, last, bytes;
  };
  for (const Row& row : {Row{170, 0, 4}, Row{0, 170, 4}, Row{0xffffffff, 0xffffffff, 4},
                         Row{0, 0x80000000, 4}, Row{0, 1, 9}, Row{0, 1, 0xffffffff}}) {
    auto page = testing::ram(4096);
    const CoalescedWriter kvm{page.data()};
    CoalescedRing ring(std::move(page));
    kvm.entry(0, 0, row.bytes, 0);
    kvm.indices(row.first, row.last);
    CHECK(bad_ring(ring.next()));
  }
}

TEST_CASE("a coalesced ring that is not mapped answers EIO", "[hostile]") {
  CoalescedRing ring(testing::ram(4096));
  const CoalescedRing taken = std::move(ring);
  CHECK(ring.next().error().is_os(EIO));  // NOLINT(bugprone-use-after-move): that is the point
}

// KVM's half of the dirty ring: flags, slot, offset.
void put_dirty(std::byte* ring, std::size_t index, std::uint32_t flags, std::uint64_t offset) {
  std::byte* at = ring + 16 * index;
  const std::uint32_t slot = 7;
  std::memcpy(at, &flags, 4);
  std::memcpy(at + 4, &slot, 4);
  std::memcpy(at + 8, &offset, 8);
}

std::uint32_t dirty_flags(const std::byte* ring, std::size_t index) {
  std::uint32_t flags = 0;
  std::memcpy(&flags, ring + 16 * index, 4);
  return flags;
}

TEST_CASE("dirty pages are harvested in order, marked for reset, and the ring wraps") {
  auto pages = testing::ram(4096);
  std::byte* kvm = pages.data();
  DirtyRing ring(std::move(pages), 256);
  CHECK(ring.entries() == 256);
  for (std::size_t round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < 256; ++i) put_dirty(kvm, i, 1, round * 1000 + i);
    for (std::size_t i = 0; i < 256; ++i) {
      const auto page = ring.next();
      REQUIRE(page);
      CHECK(page->slot == SlotId{7});
      CHECK(page->page == round * 1000 + i);
      CHECK(dirty_flags(kvm, i) == 2);
    }
    CHECK_FALSE(ring.next());
  }
}

TEST_CASE("entries that are empty or not reset yet are not pages") {
  auto pages = testing::ram(4096);
  std::byte* kvm = pages.data();
  DirtyRing ring(std::move(pages), 256);
  for (const std::uint32_t flags : {0u, 2u, 3u}) {
    put_dirty(kvm, 0, flags, 1);
    CHECK_FALSE(ring.next());
    CHECK(dirty_flags(kvm, 0) == flags);
  }
  put_dirty(kvm, 0, 1, 5);
  CHECK(ring.next()->page == 5);
}

TEST_CASE("a dirty ring larger than its memory never leaves it", "[hostile]") {
  auto pages = testing::ram(4096);
  std::byte* kvm = pages.data();
  DirtyRing ring(std::move(pages), 512);
  for (std::size_t i = 0; i < 256; ++i) put_dirty(kvm, i, 1, i);
  for (std::size_t i = 0; i < 256; ++i) CHECK(ring.next());
  CHECK_FALSE(ring.next());
}

}  // namespace
}  // namespace vmm::kvm_ioctls
