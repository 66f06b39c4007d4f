// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A queue that keeps an inflight region by itself, and ends at any point.

#include <algorithm>
#include <array>
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

enum class End { kAfterPop, kAfterAdd, kAfterPublish };

/// The queue that a process makes which comes after one that ended.
Queue successor(const Rig& rig, const Kind& kind, const Region& region) {
  const auto used = kind.packed ? RingPosition{}.bits()
                                : *rig.view().load<std::uint16_t>(GuestAddress(kDeviceArea + 2));
  Queue queue = *config_of(kind).activate(rig.memory, {.next_avail = used, .next_used = used});
  REQUIRE(queue.track_inflight(region.slice));
  return queue;
}

struct Conversation {
  explicit Conversation(const Kind& shape) : kind(shape), rig(shape) {
    REQUIRE(rig.queue.track_inflight(region.slice));
  }

  void offer() {
    heads.push_back(rig.offer({readable(kBuffers, 4), writable(kBuffers + 64, 4)}));
    heads.push_back(rig.offer({readable(kBuffers + 128, 8)}));
    heads.push_back(rig.offer({writable(kBuffers + 192, 2)}));
  }
  std::vector<std::uint16_t> pop_all() {
    std::vector<std::uint16_t> popped;
    while (rig.queue.pop(rig.chain) == Pop::kChain) {
      CHECK(rig.chain.readable_bytes() + rig.chain.writable_bytes() != 0);
      popped.push_back(rig.chain.head());
    }
    return popped;
  }
  void end_process() { rig.queue = successor(rig, kind, region); }
  void check_all_back() {
    std::vector<std::uint16_t> back;
    while (const auto used = rig.reap()) back.push_back(used->token);
    std::sort(back.begin(), back.end());
    std::sort(heads.begin(), heads.end());
    CHECK(back == heads);
    heads.clear();
  }

  Kind kind;
  Region region;
  Rig rig;
  std::vector<std::uint16_t> heads;
};

TEST_CASE("a queue with a region answers each request once, wherever it ends",
          "[inflight][track]") {
  const bool packed = GENERATE(false, true);
  const bool in_order = GENERATE(false, true);
  const auto end = static_cast<End>(GENERATE(0, 1, 2));
  CAPTURE(packed, in_order, static_cast<int>(end));
  Conversation talk({.size = kSize, .packed = packed, .in_order = in_order});
  for (int round = 0; round < 11; ++round) {
    talk.offer();
    const auto popped = talk.pop_all();
    REQUIRE(popped.size() == 3);
    const bool done = end == End::kAfterPublish || (packed && end == End::kAfterAdd);
    if (end != End::kAfterPop) {
      REQUIRE(talk.rig.queue.add_used(popped[0], 0));
      REQUIRE(talk.rig.queue.add_used(popped[1], 0));
    }
    if (end == End::kAfterPublish) talk.rig.queue.publish();
    talk.end_process();
    const auto again = talk.pop_all();
    CHECK(again == std::vector(popped.begin() + (done ? 2 : 0), popped.end()));
    for (const std::uint16_t head : again) REQUIRE(talk.rig.queue.add_used(head, 0));
    talk.rig.queue.publish();
    talk.check_all_back();
  }
}

TEST_CASE("requests out of order are neither lost nor repeated", "[inflight][track]") {
  const bool packed = GENERATE(false, true);
  Conversation talk({.size = kSize, .packed = packed});
  talk.offer();
  const auto popped = talk.pop_all();
  REQUIRE(talk.rig.queue.complete(popped[1], 0));
  talk.end_process();
  // Those of before come first, then what is new.
  const std::uint16_t fresh = talk.rig.offer({readable(kBuffers, 4)});
  talk.heads.push_back(fresh);
  CHECK(talk.pop_all() == std::vector<std::uint16_t>{popped[0], popped[2], fresh});
  REQUIRE(talk.rig.queue.complete(fresh, 0));
  talk.end_process();
  CHECK(talk.pop_all() == std::vector<std::uint16_t>{popped[0], popped[2]});
  REQUIRE(talk.rig.queue.complete(popped[2], 0));
  REQUIRE(talk.rig.queue.complete(popped[0], 0));
  talk.check_all_back();
}

TEST_CASE("what was popped and put back is not in flight", "[inflight][track]") {
  const bool packed = GENERATE(false, true);
  Conversation talk({.size = kSize, .packed = packed});
  talk.offer();
  REQUIRE(talk.rig.queue.pop(talk.rig.chain) == Pop::kChain);
  const std::uint16_t first = talk.rig.chain.head();
  REQUIRE(talk.rig.queue.pop(talk.rig.chain) == Pop::kChain);
  REQUIRE(talk.rig.queue.undo_pop(talk.rig.chain));
  talk.end_process();
  const auto popped = talk.pop_all();
  REQUIRE(popped.size() == 3);
  CHECK(popped[0] == first);
  for (const std::uint16_t head : popped) REQUIRE(talk.rig.queue.complete(head, 0));
  talk.check_all_back();
}

TEST_CASE("what is served again and put back comes again, in its order", "[inflight][track]") {
  const bool packed = GENERATE(false, true);
  const bool in_order = GENERATE(false, true);
  const auto undone = GENERATE(1U, 2U, 3U, 4U);
  CAPTURE(packed, in_order, undone);
  Conversation talk({.size = kSize, .packed = packed, .in_order = in_order});
  for (int round = 0; round < 11; ++round) {
    talk.offer();
    const auto popped = talk.pop_all();
    REQUIRE(popped.size() == 3);
    talk.end_process();
    talk.heads.push_back(talk.rig.offer({readable(kBuffers, 4)}));

    std::array<InlineChain<64>, 4> chains;
    for (unsigned i = 0; i < undone; ++i) REQUIRE(talk.rig.queue.pop(chains[i]) == Pop::kChain);
    for (unsigned i = undone; i-- > 0;) REQUIRE(talk.rig.queue.undo_pop(chains[i]));
    CHECK_FALSE(talk.rig.queue.undo_pop(chains[0]));
    if (round % 2 == 1) talk.end_process();  // nothing of it is lost, or known twice
    const auto again = talk.pop_all();
    auto expected = popped;
    expected.push_back(talk.heads.back());
    CHECK(again == expected);
    for (const std::uint16_t head : again) REQUIRE(talk.rig.queue.complete(head, 0));
    talk.check_all_back();
    CHECK(talk.pop_all().empty());
  }
}

TEST_CASE("a buffer that was served again is put back as any other in its next life",
          "[inflight][track]") {
  const bool packed = GENERATE(false, true);
  Conversation talk({.size = kSize, .packed = packed});
  for (int round = 0; round < 11; ++round) {
    talk.offer();
    REQUIRE(talk.pop_all().size() == 3);
    talk.end_process();
    for (const std::uint16_t head : talk.pop_all()) REQUIRE(talk.rig.queue.complete(head, 0));
    talk.check_all_back();
    talk.offer();
    REQUIRE(talk.rig.queue.pop(talk.rig.chain) == Pop::kChain);
    const std::uint16_t first = talk.rig.chain.head();
    REQUIRE(talk.rig.queue.undo_pop(talk.rig.chain));
    const auto popped = talk.pop_all();
    REQUIRE(popped.size() == 3);
    CHECK(popped[0] == first);
    for (const std::uint16_t head : popped) REQUIRE(talk.rig.queue.complete(head, 0));
    talk.check_all_back();
  }
}

TEST_CASE("malformed chains do not put a region out of step", "[inflight][track][hostile]") {
  const bool packed = GENERATE(false, true);
  Conversation talk({.size = kSize, .packed = packed});
  for (int round = 0; round < 20; ++round) {
    talk.heads.push_back(talk.rig.offer({readable(0xffff'0000, 4)}));  // no RAM
    talk.heads.push_back(talk.rig.offer({readable(kBuffers, 4)}));
    CHECK(talk.rig.queue.pop(talk.rig.chain) == Pop::kMalformed);
    const auto popped = talk.pop_all();
    REQUIRE(popped.size() == 1);
    talk.rig.queue.publish();
    talk.end_process();
    CHECK(talk.pop_all() == popped);
    REQUIRE(talk.rig.queue.complete(popped[0], 0));
    talk.check_all_back();
  }
}

TEST_CASE("regions of another queue are refused", "[inflight][track][hostile]") {
  const bool packed = GENERATE(false, true);
  Conversation talk({.size = kSize, .packed = packed});
  Rig other({.size = 4, .packed = packed});
  CHECK(other.queue.track_inflight(talk.region.slice).error() == QueueError::kBadState);
  const auto half = *talk.region.slice.subslice(0, 64);
  CHECK(other.queue.track_inflight(half).error() == QueueError::kBadState);
}

}  // namespace
}  // namespace vmm::virtio_queue
