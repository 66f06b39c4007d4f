// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <chrono>

namespace vmm::sys_util {

/// How long another process is waited for that is asked again and again, by several threads one
/// after the other. No answer may take longer than the whole; and what answers take beyond a
/// hundredth of it is taken from it for those that follow. Half of the time that passes comes back.
/// So who always answers at the last moment soon has no time left, and who answers soon never runs
/// out of it.
///
///   const auto begun = Patience::Clock::now();
///   const auto answer = ask(begun + patience.left(begun));
///   patience.spend(begun, Patience::Clock::now());
///
/// Threads: one at a time.
class Patience {
 public:
  using Clock = std::chrono::steady_clock;

  /// `whole` is not negative.
  explicit Patience(std::chrono::milliseconds whole)
      : whole_(whole), free_(whole_ / 100), last_(Clock::now()) {}

  /// For the answer to what is asked now.
  [[nodiscard]] Clock::duration left(Clock::time_point now) {
    spent_ = std::max(spent_ - std::max(now - last_, Clock::duration(0)) / 2, Clock::duration(0));
    last_ = now;
    return std::min(whole_, whole_ + free_ - spent_);
  }
  /// An answer has come, or was waited for in vain.
  void spend(Clock::time_point begun, Clock::time_point now) {
    spent_ = std::min(spent_ + std::max(now - begun - free_, Clock::duration(0)), whole_);
  }

 private:
  Clock::duration whole_;
  Clock::duration free_;
  Clock::duration spent_{0};
  Clock::time_point last_;  // up to when time has come back
};

}  // namespace vmm::sys_util
