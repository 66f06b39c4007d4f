// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"

namespace vmm::vhost_user_daemon {

/// Threads that each run an event loop, from construction to destruction.
class WorkerThreads {
 public:
  /// Errors: those of EventLoop::create().
  static Result<std::unique_ptr<WorkerThreads>> create(std::size_t count, const std::string& name);
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;
  /// Ends the threads; what runs on them has to be gone.
  ~WorkerThreads();

  [[nodiscard]] std::vector<event_manager::EventLoop*> loops();

 private:
  WorkerThreads() = default;

  std::vector<std::unique_ptr<event_manager::EventLoop>> loops_;
  std::vector<std::thread> threads_;
};

}  // namespace vmm::vhost_user_daemon
