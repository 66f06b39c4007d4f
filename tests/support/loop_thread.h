// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <thread>

#include "vmm/event_manager/event_loop.h"

namespace vmm {

/// An event loop on a thread of its own, for tests.
class LoopThread {
 public:
  LoopThread() : loop_(*event_manager::EventLoop::create()) {
    thread_ = std::thread([this] { (void)loop_.run(); });
  }
  ~LoopThread() {
    loop_.post([this] { loop_.stop(); });
    thread_.join();
  }
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  event_manager::EventLoop& loop() { return loop_; }
  [[nodiscard]] std::thread::id id() const { return thread_.get_id(); }
  /// Runs the function there, and returns when it has.
  void call(const std::function<void()>& function) { (void)loop_.poster().call(function); }

 private:
  event_manager::EventLoop loop_;
  std::thread thread_;
};

}  // namespace vmm
