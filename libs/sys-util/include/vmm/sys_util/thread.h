// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "vmm/base/result.h"

namespace vmm::sys_util {

/// A thread whose start may fail, as it does where a user, a control group or an address space has
/// no room for more: std::thread ends a program then that does not catch what it throws.
class Thread {
 public:
  /// None.
  Thread() = default;
  /// Runs `function` on a new thread. Errors: those of pthread_create(3), mostly EAGAIN.
  static Result<Thread> start(std::function<void()> function);

  ///@{
  /// The other one is none afterwards; the thread that was here is waited for.
  Thread(Thread&& other) noexcept
      : id_(other.id_), joinable_(std::exchange(other.joinable_, false)) {}
  Thread& operator=(Thread&& other) noexcept;
  ///@}
  /// As join().
  ~Thread() { join(); }

  /// Whether there is a thread that was not waited for.
  [[nodiscard]] bool joinable() const { return joinable_; }
  /// Waits for the thread's end, if there is one. Not from the thread itself.
  void join();

 private:
  using Id = std::thread::native_handle_type;

  explicit Thread(Id id) : id_(id), joinable_(true) {}

  Id id_{};
  bool joinable_ = false;
};

}  // namespace vmm::sys_util
