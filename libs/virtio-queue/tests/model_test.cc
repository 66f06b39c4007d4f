// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A driver and a device do random things to a queue; a model that is just a list says what each
// must see.

#include <algorithm>
#include <catch2/catch.hpp>
#include <deque>
#include <random>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

struct Offered {
  std::uint16_t token;
  std::uint32_t readable;
  std::uint32_t writable;
};

class Model {
 public:
  Model(const Kind& kind, std::uint32_t seed) : rig_(kind), kind_(kind), random_(seed) {}

  void step() {
    switch (random_() % 8) {
      case 0:
      case 1:
      case 2:
        return offer();
      case 3:
        return publish_driver();
      case 4:
      case 5:
        return pop();
      case 6:
        return complete();
      default:
        return reap();
    }
  }
  void finish() {
    publish_driver();
    for (int i = 0; i < 1000 && !(published_.empty() && held_.empty() && done_.empty()); ++i) {
      pop();
      complete();
      reap();
    }
    CHECK(rig_.driver.free_descriptors() == kind_.size);
  }

 private:
  void offer() {
    const bool indirect = random_() % 3 == 0;
    const auto room = indirect ? 6u : rig_.driver.free_descriptors();
    if (room == 0 || rig_.driver.free_descriptors() == 0) return;
    const auto count = static_cast<std::uint32_t>(1 + random_() % std::min(room, 6u));
    const auto readables = static_cast<std::uint32_t>(random_() % (count + 1));
    Offered offered{};
    std::vector<driver::Buffer> buffers;
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto length = static_cast<std::uint32_t>(random_() % 100);
      const bool is_writable = i >= readables;
      buffers.push_back({GuestAddress(kBuffers + random_() % 0x1000), length, is_writable});
      (is_writable ? offered.writable : offered.readable) += length;
    }
    table_ = (table_ + 1) % 64;
    const auto token =
        indirect ? rig_.driver.add_indirect(buffers, GuestAddress(kIndirect + 128 * table_))
                 : rig_.driver.add(buffers);
    REQUIRE(token);
    offered.token = *token;
    added_.push_back(offered);
  }
  void publish_driver() {
    (void)rig_.driver.publish();
    published_.insert(published_.end(), added_.begin(), added_.end());
    added_.clear();
  }
  void pop() {
    const Pop popped = rig_.queue.pop(rig_.chain);
    if (published_.empty()) {
      REQUIRE(popped == Pop::kEmpty);
      return;
    }
    REQUIRE(popped == Pop::kChain);
    const Offered offered = published_.front();
    REQUIRE(rig_.chain.head() == offered.token);
    REQUIRE(rig_.chain.readable_bytes() == offered.readable);
    REQUIRE(rig_.chain.writable_bytes() == offered.writable);
    if (random_() % 8 == 0) {
      REQUIRE(rig_.queue.undo_pop(rig_.chain));
      return;
    }
    published_.pop_front();
    held_.push_back(offered.token);
    order_.push_back(offered.token);
  }
  void complete() {
    for (auto n = random_() % 3; n != 0 && !held_.empty(); --n) {
      const auto at = held_.begin() + static_cast<std::ptrdiff_t>(random_() % held_.size());
      const driver::Used used{*at, static_cast<std::uint32_t>(random_())};
      REQUIRE(rig_.queue.add_used(used.token, used.written));
      held_.erase(at);
      finished_.push_back(used);
    }
    rig_.queue.publish();
    (void)rig_.queue.needs_notification();
    move_finished();
  }
  void move_finished() {
    if (!kind_.in_order) {
      done_.insert(done_.end(), finished_.begin(), finished_.end());
      finished_.clear();
      return;
    }
    for (;;) {
      if (order_.empty()) return;
      const auto at =
          std::find_if(finished_.begin(), finished_.end(),
                       [&](const driver::Used& used) { return used.token == order_.front(); });
      if (at == finished_.end()) return;
      done_.push_back(*at);
      finished_.erase(at);
      order_.pop_front();
    }
  }
  void reap() {
    const auto used = rig_.reap();
    if (done_.empty()) {
      REQUIRE_FALSE(used);
      return;
    }
    REQUIRE(used == done_.front());
    done_.pop_front();
  }

  Rig rig_;
  Kind kind_;
  std::mt19937 random_;
  std::uint64_t table_ = 0;
  std::vector<Offered> added_;
  std::deque<Offered> published_;
  std::vector<std::uint16_t> held_;
  std::deque<std::uint16_t> order_;
  std::vector<driver::Used> finished_;
  std::deque<driver::Used> done_;
};

TEST_CASE("random driver and device agree with a list", "[model]") {
  const bool packed = GENERATE(false, true);
  const bool in_order = GENERATE(false, true);
  const bool event_idx = GENERATE(false, true);
  const auto size = static_cast<std::uint16_t>(GENERATE(1, 2, 5, 8, 64));
  if (!packed && (size & (size - 1)) != 0) return;
  CAPTURE(packed, in_order, event_idx, size);
  for (std::uint32_t seed = 0; seed < 6; ++seed) {
    Model model({.size = size, .packed = packed, .event_idx = event_idx, .in_order = in_order},
                seed);
    for (int i = 0; i < 3000; ++i) model.step();
    model.finish();
  }
}

}  // namespace
}  // namespace vmm::virtio_queue
