// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/inflight.h"

#include <catch2/catch.hpp>
#include <vector>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

struct Region {
  alignas(8) std::array<std::byte, SplitInflight::bytes(8)> bytes{};
  vm_memory::GuestSlice slice{std::span<std::byte>(bytes)};
};

std::vector<std::uint16_t> heads(const std::vector<Resubmit>& list) {
  std::vector<std::uint16_t> out;
  for (const Resubmit& one : list) out.push_back(one.head);
  return out;
}
using Heads = std::vector<std::uint16_t>;

TEST_CASE("after a crash the buffers in flight are known, oldest first", "[inflight]") {
  Region region;
  {
    SplitInflight tracked = *SplitInflight::format(region.slice, 8);
    for (const std::uint16_t head : Heads{5, 2, 7, 0}) tracked.begin(head);
    tracked.stage(2);
    tracked.commit(1);
  }
  SplitInflight again = *SplitInflight::open(region.slice, 8);
  CHECK(heads(again.recover(1)) == Heads{5, 7, 0});
  again.begin(2);  // younger than all
  SplitInflight third = *SplitInflight::open(region.slice, 8);
  CHECK(heads(third.recover(1)) == Heads{5, 7, 0, 2});
}

TEST_CASE("a crash around a batch neither loses nor repeats it", "[inflight]") {
  const int crash_after = GENERATE(0, 1, 2, 3);
  Region region;
  std::uint16_t used_index = 10;
  {
    SplitInflight tracked = *SplitInflight::format(region.slice, 8);
    tracked.commit(10);
    for (const std::uint16_t head : Heads{1, 2, 3}) tracked.begin(head);
    tracked.stage(1);
    if (crash_after > 0) tracked.stage(3);
    if (crash_after > 1) used_index = 12;  // published
    if (crash_after > 2) tracked.commit(12);
  }
  SplitInflight again = *SplitInflight::open(region.slice, 8);
  CHECK(heads(again.recover(used_index)) == (crash_after > 1 ? Heads{2} : Heads{1, 2, 3}));
}

TEST_CASE("a region of another kind is refused", "[inflight][hostile]") {
  Region region;
  CHECK(SplitInflight::open(region.slice, 8).error() == QueueError::kBadState);  // no version
  REQUIRE(SplitInflight::format(region.slice, 8));
  CHECK(SplitInflight::open(region.slice, 4).error() == QueueError::kBadState);
  CHECK(SplitInflight::open(region.slice, 16).error() == QueueError::kBadState);
  CHECK(SplitInflight::format(region.slice, 0).error() == QueueError::kBadSize);
  CHECK(SplitInflight::format(*region.slice.subslice(1), 4).error() == QueueError::kBadState);
}

TEST_CASE("hostile content ends and stays inside", "[inflight][hostile]") {
  for (const int fill : {0x00, 0x01, 0x7f, 0xff}) {
    Region region;
    REQUIRE(SplitInflight::format(region.slice, 8));
    for (std::size_t i = 12; i < region.bytes.size(); ++i) {
      region.bytes[i] = static_cast<std::byte>(fill);
    }
    SplitInflight again = *SplitInflight::open(region.slice, 8);
    for (const Resubmit& one : again.recover(5)) CHECK(one.head < 8);
    again.begin(8);
    again.stage(0xffff);
    again.commit(0);
  }
}

}  // namespace
}  // namespace vmm::virtio_queue
