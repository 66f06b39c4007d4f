// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <ctime>

namespace vmm::event_manager {

/// The time that a handler has before others of its loop should have theirs: who waits for the
/// loop, as a reset of a device does, waits for the piece of work that is being done, not for all
/// that there is to do.
///
///   const Turn turn;
///   while (there_is_more()) {
///     if (turn.over()) return come_back_in_the_next_round();
///     do_one();
///   }
///
/// Asking costs a few nanoseconds: the clock is the kernel's coarse one, which goes by its ticks.
class Turn {
 public:
  static constexpr std::int64_t kMilliseconds = 10;  ///< that a turn takes

  /// Begins now.
  Turn() : end_(now() + kMilliseconds) {}

  [[nodiscard]] bool over() const { return now() >= end_; }

 private:
  static std::int64_t now() {
    timespec time{};
    (void)::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
  }

  std::int64_t end_;
};

}  // namespace vmm::event_manager
