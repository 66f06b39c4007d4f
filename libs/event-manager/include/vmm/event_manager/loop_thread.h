// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/thread.h"

namespace vmm::event_manager {

/// A thread that runs an event loop, from construction to destruction.
class LoopThread {
 public:
  /// `name` is what the thread is called; the kernel keeps 15 characters. An error that ends the
  /// loop before is logged. Errors: those of EventLoop::create() and sys_util::Thread::start().
  static Result<std::unique_ptr<LoopThread>> create(const std::string& name);
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;
  /// Ends the thread, after the round that it is in. What is registered is dropped by the caller's
  /// thread then; workers that wait for the loop have to be gone. Not from the thread itself.
  ~LoopThread();

  /// For what any thread may call: post(), poster(). The rest is the thread's.
  [[nodiscard]] EventLoop& loop() { return loop_; }
  /// Runs the function there, and returns when it has.
  void call(std::function<void()> function) { (void)loop_.poster().call(std::move(function)); }

 private:
  explicit LoopThread(EventLoop loop) : loop_(std::move(loop)) {}

  EventLoop loop_;
  sys_util::Thread thread_;
};

}  // namespace vmm::event_manager
