// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A back end that ends at any point and starts again: each request is answered exactly once.

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <ctime>
#include <map>
#include <vector>

#include "rig.h"
#include "vmm/virtio_queue/inflight.h"

namespace vmm::virtio_queue {
namespace {

constexpr std::uint16_t kSize = 8;

struct Region {
  alignas(8) std::array<std::byte, PackedInflight::bytes(kSize)> bytes{};
  vm_memory::GuestSlice slice{std::span<std::byte>(bytes)};
};

/// Where the back end ends.
enum class End { kAfterPop, kAfterStage, kAfterAdd, kAfterPublish, kAfterCommit };

struct Requests {
  Rig& rig;
  std::vector<std::uint16_t> heads;

  void offer() {
    heads.push_back(rig.offer({readable(kBuffers, 4), writable(kBuffers + 64, 4)}));
    heads.push_back(rig.offer({readable(kBuffers + 128, 8)}));
    heads.push_back(rig.offer({writable(kBuffers + 192, 2)}));
  }
  /// The driver has got each of them back, once.
  void check_all_back() {
    std::vector<std::uint16_t> back;
    while (const auto used = rig.reap()) back.push_back(used->token);
    std::sort(back.begin(), back.end());
    std::sort(heads.begin(), heads.end());
    CHECK(back == heads);
    heads.clear();
  }
};

/// Serves what is there until `end`; `inflight` has the functions of both kinds.
template <class Inflight, class Begin>
void serve_until(Rig& rig, Inflight& inflight, End end, Begin begin, auto commit) {
  std::vector<std::uint16_t> popped;
  while (rig.queue.pop(rig.chain) == Pop::kChain) {
    begin(inflight);
    popped.push_back(rig.chain.head());
  }
  REQUIRE(popped.size() == 3);
  if (end == End::kAfterPop) return;
  inflight.stage(popped[2]);
  inflight.stage(popped[0]);
  if (end == End::kAfterStage) return;
  REQUIRE(rig.queue.add_used(popped[2], 0));
  REQUIRE(rig.queue.add_used(popped[0], 0));
  if (end == End::kAfterAdd) return;
  rig.queue.publish();
  if (end == End::kAfterPublish) return;
  commit(inflight);
}

void resubmit_all(Rig& rig, const std::vector<Resubmit>& requests, End end) {
  CHECK(requests.size() == (end < End::kAfterPublish ? 3 : 1));
  for (const Resubmit& request : requests) {
    REQUIRE(rig.queue.resubmit(rig.chain, request) == Pop::kChain);
    CHECK(rig.chain.head() == request.head);
    CHECK(rig.chain.readable_bytes() + rig.chain.writable_bytes() != 0);
    InlineChain<4> again;
    CHECK(rig.queue.resubmit(again, request) == Pop::kMalformed);
    CHECK(again.error() == QueueError::kInFlight);
    REQUIRE(rig.queue.add_used(request.head, 0));
  }
  rig.queue.publish();
}

TEST_CASE("a split queue that ends anywhere answers each request once", "[inflight][recovery]") {
  const auto end = static_cast<End>(GENERATE(0, 1, 2, 3, 4));
  const Kind kind{.size = kSize};
  Rig rig(kind);
  Requests requests{rig, {}};
  Region region;
  (void)*SplitInflight::format(region.slice, kSize);
  for (int round = 0; round < 7; ++round) {
    requests.offer();
    SplitInflight before = *SplitInflight::open(region.slice, kSize);
    (void)before.recover(rig.queue.position().next_used);
    serve_until(
        rig, before, end, [&](SplitInflight& to) { to.begin(rig.chain.head()); },
        [&](SplitInflight& to) { to.commit(rig.queue.position().next_used); });

    const auto used = *rig.view().load<std::uint16_t>(GuestAddress(kDeviceArea + 2));
    const std::uint16_t avail = rig.queue.avail_index();
    rig.queue = *config_of(kind).activate(rig.memory, {.next_avail = avail, .next_used = used});
    SplitInflight after = *SplitInflight::open(region.slice, kSize);
    const std::vector<Resubmit> list = after.recover(used);
    for (const Resubmit& one : list) after.stage(one.head);
    resubmit_all(rig, list, end);
    after.commit(rig.queue.position().next_used);
    requests.check_all_back();
  }
}

TEST_CASE("a packed queue that ends anywhere answers each request once", "[inflight][recovery]") {
  const auto end = static_cast<End>(GENERATE(0, 1, 2, 3, 4));
  const std::uint16_t size = GENERATE(std::uint16_t{5}, kSize);
  const Kind kind{.size = size, .packed = true};
  Rig rig(kind);
  const auto ring = *rig.view().slice(GuestAddress(kTable), size * kDescriptorBytes);
  Requests requests{rig, {}};
  Region region;
  (void)*PackedInflight::format(region.slice, size);
  for (int round = 0; round < 7; ++round) {
    requests.offer();
    PackedInflight before = *PackedInflight::open(region.slice, size);
    CHECK(before.recover(ring).empty());
    CHECK(before.position() == rig.queue.position());
    const auto begin = [&](PackedInflight& to) {
      std::array<PackedDescriptor, kSize> list;
      to.begin(std::span(list).first(rig.queue.read_list(rig.chain, list)));
    };
    serve_until(rig, before, end, begin, [](PackedInflight& to) { to.commit(); });

    PackedInflight after = *PackedInflight::open(region.slice, size);
    const std::vector<Resubmit> list = after.recover(ring);
    rig.queue = *config_of(kind).activate(rig.memory, after.position());
    for (const Resubmit& one : list) after.stage(one.head);
    resubmit_all(rig, list, end);
    after.commit();
    requests.check_all_back();
  }
}

TEST_CASE("a hostile packed region ends and stays inside", "[inflight][hostile]") {
  Rig rig({.size = kSize, .packed = true});
  const auto ring = *rig.view().slice(GuestAddress(kTable), kSize * kDescriptorBytes);
  for (const int fill : {0x00, 0x01, 0x07, 0x7f, 0xff}) {
    Region region;
    REQUIRE(PackedInflight::format(region.slice, kSize));
    std::fill(region.bytes.begin() + 12, region.bytes.end(), static_cast<std::byte>(fill));
    PackedInflight again = *PackedInflight::open(region.slice, kSize);
    const auto list = again.recover(ring);
    CHECK(list.size() <= kSize);
    const auto queue =
        config_of({.size = kSize, .packed = true}).activate(rig.memory, again.position());
    for (const Resubmit& one : list) {
      CHECK(one.head < kSize);
      if (queue) (void)rig.queue.resubmit(rig.chain, one);
    }
    std::array<PackedDescriptor, 3> buffers{};
    again.begin(buffers);
    again.stage(0);
    again.stage(0xffff);
    again.commit();
  }
  Region region;
  CHECK(PackedInflight::open(region.slice, kSize).error() == QueueError::kBadState);
  REQUIRE(PackedInflight::format(region.slice, kSize));
  CHECK(PackedInflight::open(region.slice, 4).error() == QueueError::kBadState);
  CHECK(PackedInflight::format(region.slice, 0).error() == QueueError::kBadSize);
  CHECK(PackedInflight::format(*region.slice.subslice(1), 4).error() == QueueError::kBadState);
}

TEST_CASE("a packed region that lists everything everywhere is read in one pass",
          "[inflight][hostile]") {
  constexpr std::uint16_t kLarge = kMaxQueueSize;
  constexpr std::size_t kEntry = PackedInflight::kEntryBytes;
  std::vector<std::uint64_t> words(PackedInflight::bytes(kLarge) / 8);
  const vm_memory::GuestSlice region(std::as_writable_bytes(std::span(words)));
  PackedInflight inflight = *PackedInflight::format(region, kLarge);
  // Nothing is free; each entry is in flight and claims all, as they hang one behind the other:
  // 2^30 steps, were all lists read.
  for (const std::size_t free_head : {std::size_t{12}, std::size_t{14}})
    region.store<std::uint16_t>(kLarge, free_head);
  for (std::size_t i = 0; i < kLarge; ++i) {
    const std::size_t at = PackedInflight::kHeaderBytes + i * kEntry;
    region.store<std::uint8_t>(1, at);
    region.store<std::uint16_t>(static_cast<std::uint16_t>((i + 1) % kLarge), at + 2);
    region.store<std::uint16_t>(kLarge, at + 6);
  }
  std::vector<std::byte> ring(std::size_t{kLarge} * kDescriptorBytes);
  const std::clock_t start = std::clock();  // its own time, whatever else the machine does
  const auto list = inflight.recover(vm_memory::GuestSlice(std::span<std::byte>(ring)));
  CHECK(list.size() == 1);
  CHECK(std::clock() - start < CLOCKS_PER_SEC);
}

TEST_CASE("what cannot have been in flight is not resubmitted", "[inflight][hostile]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = kSize, .packed = packed});
  Resubmit request{.head = kSize, .order = 0};
  CHECK(rig.queue.resubmit(rig.chain, request) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadHead);
  request.head = 1;
  request.list.assign(2, PackedDescriptor{Le64(~0ull), Le32(16), Le16(1), Le16(kDescNext)});
  REQUIRE(rig.view().write(GuestAddress(kTable + 16),
                           SplitDescriptor{Le64(~0ull), Le32(16), Le16(0), Le16(0)}));
  CHECK(rig.queue.resubmit(rig.chain, request) == Pop::kMalformed);
  CHECK(rig.queue.add_used(1, 0).error() == QueueError::kNotInFlight);  // it is back already
}

}  // namespace
}  // namespace vmm::virtio_queue
