// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <semaphore>
#include <string>
#include <vector>

#include "failure.h"
#include "thread_filters.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/thread.h"

namespace vmm::reference {

/// A thread that serves queues of one device: an event loop from construction to destruction.
class IoThread {
 public:
  /// `kind` says what system calls it needs. `cpus` of the host to run on; empty: any. Failures:
  /// the host has none of them; it has no room for a thread; those of the filter and of epoll.
  static Outcome<std::unique_ptr<IoThread>> create(ThreadKind kind, const std::string& name,
                                                   const std::vector<std::uint64_t>& cpus = {});
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;
  /// Ends the thread; what runs on it has to be gone.
  ~IoThread();

  /// Lets the loop stand still: what it is in the middle of is finished first. Not twice; while it
  /// stands, nobody may wait for something that runs on it.
  void pause();
  /// Ends a pause().
  void resume() { go_on_.release(); }

  [[nodiscard]] event_manager::EventLoop& loop() { return loop_; }

 private:
  explicit IoThread(event_manager::EventLoop loop) : loop_(std::move(loop)) {}

  event_manager::EventLoop loop_;
  std::binary_semaphore standing_{0};
  std::binary_semaphore go_on_{0};
  sys_util::Thread thread_;
};

}  // namespace vmm::reference
