// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// More than there is room for: in a chain, in a ring, and of buffers in flight.

#include <catch2/catch.hpp>
#include <vector>

#include "raw_rings.h"

namespace vmm::virtio_queue {
namespace {

TEST_CASE("a buffer that the device still has is refused", "[hostile]") {
  const bool in_order = GENERATE(false, true);
  SECTION("split") {
    Rig rig({.size = 8, .in_order = in_order});
    put(rig.view(), kTable, {kB, 1, 0, 0});
    REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(2)));
    CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
    CHECK(rig.chain.error() == QueueError::kInFlight);
    CHECK(rig.queue.add_used(0, 0));
    CHECK(rig.queue.add_used(0, 0).error() == QueueError::kNotInFlight);
  }
  SECTION("packed") {
    Rig rig({.size = 8, .packed = true, .in_order = in_order});
    put_packed(rig.view(), kTable, {kB, 1, 0, 3}, true);
    put_packed(rig.view(), kTable + 16, {kB, 1, 0, 3}, true);
    CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
    CHECK(rig.chain.error() == QueueError::kInFlight);
    CHECK(rig.queue.add_used(3, 0));
  }
  SECTION("lists of a packed ring") {
    Rig rig({.size = 8, .packed = true, .in_order = in_order});
    for (const std::uint64_t at : {kTable, kTable + 32}) {
      put_packed(rig.view(), at, {kB, 1, kN, 0}, true);
      put_packed(rig.view(), at + 16, {kB, 1, 0, 3}, true);
    }
    CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
    CHECK(rig.chain.error() == QueueError::kInFlight);
    CHECK(rig.queue.add_used(3, 0));
  }
}

TEST_CASE("a packed ring that is offered again before it was used is broken", "[hostile][packed]") {
  Rig rig({.size = 2, .packed = true});
  for (std::uint16_t i = 0; i < 2; ++i)
    put_packed(rig.view(), kTable + 16 * i, {kB, 1, 0, i}, true);
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  REQUIRE(rig.view().write(GuestAddress(kTable + 14), Le16(kDescUsed)));  // the other turn
  CHECK(rig.queue.pop(rig.chain) == Pop::kBroken);
  CHECK(rig.chain.error() == QueueError::kBadAvailIndex);
}

TEST_CASE("descriptors that the device still has are offered under another id",
          "[hostile][packed]") {
  // The first list is of two descriptors.
  Rig rig({.size = 4, .packed = true});
  put_packed(rig.view(), kTable, {kB, 1, kN, 0}, true);
  put_packed(rig.view(), kTable + 16, {kB, 1, 0, 0}, true);
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  SECTION("of the other turn, all of them") {
    put_packed(rig.view(), kTable + 32, {kB, 1, kN, 1}, true);
    put_packed(rig.view(), kTable + 48, {kB, 1, 0, 1}, true);
    CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
    put_packed(rig.view(), kTable, {kB, 1, kDescUsed, 2}, false);
  }
  SECTION("behind others") {
    put_packed(rig.view(), kTable + 32, {kB, 1, kN, 1}, true);
    put_packed(rig.view(), kTable + 48, {kB, 1, kN, 1}, true);
    put_packed(rig.view(), kTable, {kB, 1, kDescUsed, 1}, false);
  }
  CHECK(rig.queue.pop(rig.chain) == Pop::kBroken);
  CHECK(rig.chain.error() == QueueError::kBadAvailIndex);
}

TEST_CASE("a chain that the device has no room for is refused", "[hostile]") {
  const bool packed = GENERATE(false, true);
  const bool indirect = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed});
  InlineChain<3> small;
  for (std::size_t n = 1; n <= 5; ++n) {
    const std::vector<driver::Buffer> buffers(n, writable(kB, 4));
    REQUIRE((indirect ? rig.driver.add_indirect(buffers, GuestAddress(kIndirect))
                      : rig.driver.add(buffers)));
    (void)rig.driver.publish();
    CHECK(rig.queue.pop(small) == (n <= 3 ? Pop::kChain : Pop::kMalformed));
    if (n > 3) {
      CHECK(small.error() == QueueError::kTooManyPieces);
    } else {
      REQUIRE(rig.queue.add_used(small.head(), 0));
    }
    rig.queue.publish();
    CHECK(rig.reap());
  }
}

TEST_CASE("a buffer of no bytes takes no room where there is little", "[hostile]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed});
  InlineChain<2> small;
  (void)rig.offer({readable(kB, 0), readable(kB, 4), readable(kB, 4)});
  REQUIRE(rig.queue.pop(small) == Pop::kChain);
  CHECK(small.readable_bytes() == 8);
}

}  // namespace
}  // namespace vmm::virtio_queue
