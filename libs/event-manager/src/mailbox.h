// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::event_manager::detail {

/// What other threads share with a loop: the functions they posted and the eventfd that wakes it.
class Mailbox {
 public:
  using Function = std::function<void()>;

  explicit Mailbox(sys_util::EventFd wake) : wake_(std::move(wake)) {}

  Result<void> post(Function function) VMM_EXCLUDES(mutex_);
  void wake() const;
  /// Takes all functions; the wake-up is taken with them.
  [[nodiscard]] std::vector<Function> collect() VMM_EXCLUDES(mutex_);
  /// Refuses functions from now on, and gives back those that wait.
  [[nodiscard]] std::vector<Function> close() VMM_EXCLUDES(mutex_);

  [[nodiscard]] int wake_fd() const { return wake_.fd(); }

  /// The thread that is inside run_once(); default-constructed when none is.
  void set_loop_thread(std::thread::id id) { loop_thread_.store(id, std::memory_order_relaxed); }
  /// Relaxed is enough: only the thread that stored its own id can read it as its own.
  [[nodiscard]] bool on_loop_thread() const {
    return loop_thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
  }

 private:
  sys_util::EventFd wake_;
  std::atomic<std::thread::id> loop_thread_{};
  Mutex mutex_;
  std::vector<Function> functions_ VMM_GUARDED_BY(mutex_);
  bool closed_ VMM_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm::event_manager::detail
