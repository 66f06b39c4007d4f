// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The mapping that a queue makes for its books, and one that cannot be made.

#include <catch2/catch.hpp>
#include <cerrno>
#include <utility>

#include "faulty_calls.h"
#include "rig.h"

namespace vmm::virtio_queue {
namespace {

TEST_CASE("a queue for which there is no memory says so, and leaves nothing", "[faults]") {
  if (!faulty_calls::kMakersFail) return;  // under ThreadSanitizer
  const bool packed = GENERATE(false, true);
  const GuestMemory memory = make_memory();
  const QueueConfig config = config_of({.packed = packed});
  const auto mapped = faulty_calls::mapped_bytes();
  faulty_calls::arm({.nth = 1, .error = ENOMEM, .calls = faulty_calls::kMap});
  const auto refused = config.activate(memory);
  REQUIRE(faulty_calls::disarm());
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == QueueError::kNoMemory);
  CHECK(faulty_calls::mapped_bytes() == mapped);
  {
    auto queue = config.activate(memory);
    REQUIRE(queue);
    Queue moved = std::move(*queue);
    InlineChain<64> chain;
    CHECK(moved.pop(chain) == Pop::kEmpty);
    CHECK(faulty_calls::mapped_bytes() > mapped);
  }
  CHECK(faulty_calls::mapped_bytes() == mapped);
}

}  // namespace
}  // namespace vmm::virtio_queue
