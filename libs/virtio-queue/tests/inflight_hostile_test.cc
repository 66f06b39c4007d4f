// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each check of what an inflight region says, one at a time: the region is the peer's as well.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "rig.h"
#include "vmm/virtio_queue/inflight.h"

namespace vmm::virtio_queue {
namespace {

constexpr std::uint16_t kSize = 8;
constexpr std::size_t kVersion = 8;
// Of packed regions.
constexpr std::size_t kUsedIdx = 16;
constexpr std::size_t kOldUsedIdx = 18;
constexpr std::size_t kFirstEntry = PackedInflight::kHeaderBytes;
constexpr std::size_t kInflight = kFirstEntry + 0;
constexpr std::size_t kNum = kFirstEntry + 6;
constexpr std::size_t kId = kFirstEntry + 16;

template <class Inflight>
struct Region {
  alignas(8) std::array<std::byte, Inflight::bytes(kSize)> bytes{};
  vm_memory::GuestSlice slice{std::span<std::byte>(bytes)};
};

struct Packed : Region<PackedInflight> {
  Packed() { REQUIRE(PackedInflight::format(slice, kSize)); }
  /// What is in flight according to the region.
  std::vector<Resubmit> recover() {
    return PackedInflight::open(slice, kSize)->recover(vm_memory::GuestSlice(std::span(ring)));
  }
  /// One descriptor in flight, as buffer `id`.
  void begin(std::uint16_t id) {
    const PackedDescriptor one{
        .address = Le64(0x1000), .length = Le32(4), .id = Le16(id), .flags = {}};
    auto inflight = *PackedInflight::open(slice, kSize);
    (void)inflight.recover(vm_memory::GuestSlice(std::span(ring)));
    inflight.begin({&one, 1});
  }

  std::array<std::byte, kSize * kDescriptorBytes> ring{};
};

}  // namespace

TEMPLATE_TEST_CASE("a region is for one version, one size and its whole length",
                   "[inflight][hostile]", SplitInflight, PackedInflight) {
  Region<TestType> region;
  REQUIRE(TestType::format(region.slice, kSize));
  REQUIRE(TestType::open(region.slice, kSize));
  region.slice.template store<std::uint16_t>(2, kVersion);
  CHECK(TestType::open(region.slice, kSize).error() == QueueError::kBadState);

  CHECK(TestType::format(region.slice, kSize + 1).error() == QueueError::kBadState);
  CHECK(TestType::format(region.slice, 0).error() == QueueError::kBadSize);
  CHECK(TestType::format(region.slice, 0x8001).error() == QueueError::kBadSize);
  const auto longer = std::as_writable_bytes(std::span(region.bytes));
  const vm_memory::GuestSlice odd(longer.subspan(4));
  CHECK(TestType::format(odd, 1).error() == QueueError::kBadState);  // not aligned
}

TEST_CASE("a region too short for a version is not a fresh one", "[inflight][hostile]") {
  alignas(8) std::array<std::byte, 16> bytes{};
  CHECK(is_fresh_inflight(vm_memory::GuestSlice(std::span<std::byte>(bytes).first(10))));
  CHECK_FALSE(is_fresh_inflight(vm_memory::GuestSlice(std::span<std::byte>(bytes).first(9))));
  CHECK_FALSE(is_fresh_inflight(vm_memory::GuestSlice()));
}

TEST_CASE("what no queue has leaves a packed region as it is", "[inflight][hostile]") {
  Packed region;
  auto inflight = *PackedInflight::open(region.slice, kSize);
  const auto before = region.bytes;
  inflight.begin({});
  CHECK(region.bytes == before);
  const PackedDescriptor other{
      .address = Le64(0x1000), .length = Le32(4), .id = Le16(kSize), .flags = {}};
  inflight.begin({&other, 1});
  CHECK(region.bytes == before);
  for (const std::uint16_t id : {std::uint16_t{0}, kSize, std::uint16_t{0xffff}}) {
    inflight.cancel(id);
    inflight.stage(id);
    CHECK(region.bytes == before);
  }
}

TEST_CASE("what no queue has leaves a split region as it is", "[inflight][hostile]") {
  Region<SplitInflight> region;
  auto inflight = *SplitInflight::format(region.slice, kSize);
  const auto before = region.bytes;
  for (const std::uint16_t head : {kSize, std::uint16_t{0xffff}}) {
    inflight.begin(head);
    inflight.stage(head);
    inflight.cancel(head);
  }
  CHECK(region.bytes == before);
}

TEST_CASE("no more is given back in one batch than there are buffers", "[inflight][hostile]") {
  Region<SplitInflight> region;
  auto inflight = *SplitInflight::format(region.slice, kSize);
  for (std::uint16_t head = 0; head < kSize; ++head) inflight.stage(head);
  const auto before = region.bytes;
  inflight.stage(0);
  CHECK(region.bytes == before);
}

TEST_CASE("an entry that cannot be is not resubmitted", "[inflight][hostile]") {
  Packed region;
  region.begin(3);
  REQUIRE(region.recover().size() == 1);
  const auto good = region.bytes;

  region.slice.store<std::uint16_t>(kSize, kId);  // no such buffer
  CHECK(region.recover().empty());
  region.bytes = good;
  region.slice.store<std::uint16_t>(0, kNum);  // no descriptor
  CHECK(region.recover().empty());
  region.bytes = good;
  region.slice.store<std::uint16_t>(kSize + 1, kNum);  // more than the ring has
  CHECK(region.recover().empty());
  region.bytes = good;
  region.slice.store<std::uint8_t>(0, kInflight);
  CHECK(region.recover().empty());
}

TEST_CASE("a count that cannot be moves the used index once round the ring at most",
          "[inflight][hostile]") {
  Packed region;
  region.begin(3);
  auto inflight = *PackedInflight::open(region.slice, kSize);
  (void)inflight.recover(vm_memory::GuestSlice(std::span(region.ring)));
  region.slice.store<std::uint16_t>(0xffff, kNum);
  inflight.stage(3);
  CHECK(region.slice.load<std::uint16_t>(kUsedIdx) < kSize);
}

TEST_CASE("a batch that began beyond the ring was not published", "[inflight][hostile]") {
  Packed region;
  region.begin(3);
  region.slice.store<std::uint16_t>(1, kUsedIdx);
  region.slice.store<std::uint16_t>(0xffff, kOldUsedIdx);
  CHECK(region.recover().size() == 1);
}

TEST_CASE("a list that no ring has room for is not resubmitted", "[inflight][hostile]") {
  Rig rig({.size = kSize, .packed = true});
  const PackedDescriptor one{
      .address = Le64(kBuffers), .length = Le32(4), .id = Le16(1), .flags = Le16(kDescNext)};
  Resubmit request{.head = 1, .order = 0, .list = {}};
  CHECK(rig.queue.resubmit(rig.chain, request) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadHead);
  request.list.assign(kSize + 1, one);
  request.list.back().flags = Le16(0);
  CHECK(rig.queue.resubmit(rig.chain, request) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadHead);
  request.list.erase(request.list.begin());
  CHECK(rig.queue.resubmit(rig.chain, request) == Pop::kChain);
  CHECK(rig.chain.readable_bytes() == 4 * kSize);
}

}  // namespace vmm::virtio_queue
