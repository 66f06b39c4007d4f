// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "worker_threads.h"

#include "vmm/base/log.h"
#include "vmm/sys_util/thread_name.h"

namespace vmm::vhost_user_daemon {

using event_manager::EventLoop;

Result<std::unique_ptr<WorkerThreads>> WorkerThreads::create(std::size_t count,
                                                             const std::string& name) {
  std::unique_ptr<WorkerThreads> threads(new WorkerThreads);
  for (std::size_t i = 0; i < count; ++i) {
    VMM_TRY(EventLoop loop, EventLoop::create());
    threads->loops_.push_back(std::make_unique<EventLoop>(std::move(loop)));
    threads->threads_.emplace_back([&worker = *threads->loops_.back(), name] {
      sys_util::set_thread_name(name);
      const Result<void> ran = worker.run();
      if (!ran) VMM_LOG(kError, "%s: %s", name.c_str(), to_string(ran.error()).c_str());
    });
  }
  return threads;
}

WorkerThreads::~WorkerThreads() {
  for (const auto& loop : loops_) {
    loop->post([&worker = *loop] { worker.stop(); });
  }
  for (std::thread& thread : threads_) thread.join();
}

std::vector<EventLoop*> WorkerThreads::loops() {
  std::vector<EventLoop*> loops;
  for (const auto& loop : loops_) loops.push_back(loop.get());
  return loops;
}

}  // namespace vmm::vhost_user_daemon
