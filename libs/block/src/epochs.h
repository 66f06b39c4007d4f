// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "vmm/base/assert.h"

namespace vmm::block {

/// Tells when everybody is done who may have seen something: the readers and writers of places in
/// a file that were given up at a certain time.
///
/// Time goes on in steps, and only when nobody of the step before is left. So whoever began at the
/// time of an event is gone two steps later.
///
/// Threads: all but end() one at a time.
class Epochs {
 public:
  static constexpr std::uint64_t kTokens = 2;

  /// Returns a token for end(): 1 .. kTokens.
  std::uint64_t begin() {
    counts_[now_ % 2].fetch_add(1, std::memory_order_relaxed);
    return 1 + now_ % 2;
  }
  /// From any thread.
  void end(std::uint64_t token) {
    VMM_ASSERT_ALWAYS(token == 1 || token == 2);
    // What was done with the place comes before its next use: is_over()'s acquire.
    counts_[token - 1].fetch_sub(1, std::memory_order_release);
  }
  [[nodiscard]] std::uint64_t now() const { return now_; }
  /// Whether all who began at `time` or before have ended.
  [[nodiscard]] bool is_over(std::uint64_t time) {
    for (int i = 0; i < 2 && now_ < time + 2; ++i) {
      if (counts_[(now_ + 1) % 2].load(std::memory_order_acquire) != 0) break;
      ++now_;
    }
    return now_ >= time + 2;
  }

 private:
  std::uint64_t now_ = 0;
  std::array<std::atomic<std::uint64_t>, kTokens> counts_{};
};

}  // namespace vmm::block
