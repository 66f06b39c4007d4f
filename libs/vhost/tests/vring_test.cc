// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vring.h"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

using namespace vmm;
using namespace vmm::vhost;
using virtio_queue::QueueShape;
using vm_memory::MemoryView;
using vm_memory::RegionSpan;

namespace {

constexpr std::uint64_t kEnd = ~std::uint64_t{0};
constexpr std::uint16_t kBadSizes[] = {0, 3, 100, 255, 257, 2048, 32769, 65535};
constexpr std::uint16_t kGoodSizes[] = {1, 2, 256, 1024};

// Two regions of 64 KiB with a hole of 64 KiB between them, then a third that follows the second
// in the guest but not in host memory.
struct Memory {
  static constexpr std::uint64_t kFirst = 0x1'0000;
  static constexpr std::uint64_t kHole = 0x2'0000;
  static constexpr std::uint64_t kSecond = 0x3'0000;
  static constexpr std::uint64_t kThird = 0x4'0000;
  static constexpr std::size_t kBytes = 0x1'0000;

  struct alignas(4096) Page {
    std::byte bytes[4096];
  };
  std::vector<Page> host = std::vector<Page>(64);

  std::span<std::byte> part(std::size_t page) { return {host[page].bytes, kBytes}; }
  std::array<RegionSpan, 3> regions{RegionSpan{GuestAddress(kFirst), part(0)},
                                    RegionSpan{GuestAddress(kSecond), part(16)},
                                    RegionSpan{GuestAddress(kThird), part(48)}};
  [[nodiscard]] MemoryView view() const { return MemoryView(std::span(regions)); }
};

QueueShape shape(std::uint16_t size, bool packed = false) {
  return {.rings = {.descriptors = GuestAddress(Memory::kFirst),
                    .driver = GuestAddress(Memory::kFirst + 0x4000),
                    .device = GuestAddress(Memory::kFirst + 0x8000)},
          .size = size,
          .packed = packed};
}

VhostError refused(const Memory& memory, const QueueShape& rings, std::uint16_t max = 1024) {
  const auto host = host_addresses({.shape = rings, .max_size = max}, memory.view());
  const auto guest = guest_addresses({.shape = rings, .max_size = max}, memory.view());
  REQUIRE_FALSE(host);
  REQUIRE_FALSE(guest);
  CHECK(host.error() == guest.error());
  return host.error();
}

}  // namespace

TEST_CASE("a ring's parts are found in this process, or in the guest", "[ring]") {
  Memory memory;
  const QueueShape rings = shape(256);
  const auto at = [&](std::size_t offset) {
    return reinterpret_cast<std::uintptr_t>(memory.part(0).data()) + offset;
  };
  const auto host = host_addresses({.shape = rings}, memory.view());
  REQUIRE(host);
  CHECK(*host == VringAddresses{.descriptors = at(0), .driver = at(0x4000), .device = at(0x8000)});
  const auto guest = guest_addresses({.shape = rings}, memory.view());
  REQUIRE(guest);
  CHECK(*guest == VringAddresses{.descriptors = 0x1'0000, .driver = 0x1'4000, .device = 0x1'8000});
  const auto logged = host_addresses({.shape = rings, .log = true}, memory.view());
  REQUIRE(logged);
  CHECK(logged->log == GuestAddress(0x1'8000));
}

TEST_CASE("a ring has a size that it may have", "[ring][hostile]") {
  const Memory memory;
  for (const std::uint16_t size : kBadSizes) {
    CAPTURE(size);
    CHECK(refused(memory, shape(size)) == VhostError::kBadSize);
  }
  CHECK(refused(memory, shape(512), 256) == VhostError::kBadSize);
  CHECK(refused(memory, shape(0, true)) == VhostError::kBadSize);
  CHECK(refused(memory, shape(257, true), 256) == VhostError::kBadSize);
  for (const std::uint16_t size : kGoodSizes) {
    const QueueShape rings = shape(size);
    CHECK(host_addresses({.shape = rings, .max_size = 1024}, memory.view()));
  }
  const QueueShape odd = shape(100, true);  // 2.8.10.1
  CHECK(host_addresses({.shape = odd}, memory.view()));
}

TEST_CASE("a ring's parts are aligned", "[ring][hostile]") {
  const Memory memory;
  for (const std::uint64_t off : {1u, 2u, 4u, 8u}) {
    QueueShape rings = shape(16);
    rings.rings.descriptors = GuestAddress(Memory::kFirst + off);
    CHECK(refused(memory, rings) == VhostError::kMisaligned);
  }
  QueueShape rings = shape(16);
  rings.rings.driver = GuestAddress(Memory::kFirst + 0x4001);
  CHECK(refused(memory, rings) == VhostError::kMisaligned);
  rings = shape(16);
  rings.rings.device = GuestAddress(Memory::kFirst + 0x8002);
  CHECK(refused(memory, rings) == VhostError::kMisaligned);
  rings = shape(16, true);
  rings.rings.driver = GuestAddress(Memory::kFirst + 0x4002);  // 4 bytes, of a packed ring
  CHECK(refused(memory, rings) == VhostError::kMisaligned);
}

// Each byte counts, not the last one alone: a part may end where its region does, and may not
// start in a hole that it ends behind.
TEST_CASE("each part of a ring is guest memory from its first byte to its last",
          "[ring][hostile]") {
  const Memory memory;
  struct Part {
    GuestAddress virtio_queue::RingAddresses::* address;
    std::uint64_t bytes;  // of a split ring of 64 entries
    std::uint64_t alignment;
  };
  const std::array<Part, 3> parts{
      Part{&virtio_queue::RingAddresses::descriptors, std::uint64_t{16} * 64, 16},
      Part{&virtio_queue::RingAddresses::driver, 6 + 2 * 64, 2},
      Part{&virtio_queue::RingAddresses::device, 6 + 8 * 64, 4}};
  for (const Part& part : parts) {
    const auto with = [&](std::uint64_t at) {
      QueueShape rings = shape(64);
      rings.rings.*part.address = GuestAddress(at - at % part.alignment);
      return rings;
    };
    CAPTURE(part.bytes);
    QueueShape last = with(Memory::kHole - part.bytes);  // ends with its region
    CHECK(host_addresses({.shape = last}, memory.view()));
    last = with(Memory::kThird + Memory::kBytes - part.bytes);
    CHECK(host_addresses({.shape = last}, memory.view()));

    const std::uint64_t a = part.alignment;
    CHECK(refused(memory, with(Memory::kHole - part.bytes + a)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(Memory::kHole)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(Memory::kSecond - a)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(Memory::kSecond - part.bytes + a)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(Memory::kThird - a)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(Memory::kThird + Memory::kBytes)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(0)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(kEnd)) == VhostError::kRingNotMapped);
    CHECK(refused(memory, with(kEnd - part.bytes)) == VhostError::kRingNotMapped);
  }
}

TEST_CASE("host memory of odd alignment is refused", "[ring]") {
  Memory memory;
  const RegionSpan odd{GuestAddress(Memory::kFirst), memory.part(0).subspan(1)};
  const QueueShape rings = shape(16);
  const auto addresses = host_addresses({.shape = rings}, MemoryView(odd));
  REQUIRE_FALSE(addresses);
  CHECK(addresses.error() == VhostError::kMisaligned);
}

TEST_CASE("a position is a base", "[ring]") {
  CHECK(to_base({.next_avail = 0x1234, .next_used = 0x1200}, false) == 0x1234);
  CHECK(to_base({.next_avail = 0x8001, .next_used = 0x8000}, true) == 0x8000'8001);
  CHECK(to_position(0x1234, false) ==
        virtio_queue::QueuePosition{.next_avail = 0x1234, .next_used = 0x1234});
  CHECK(to_position(0x8000'8001, true) ==
        virtio_queue::QueuePosition{.next_avail = 0x8001, .next_used = 0x8000});
}
