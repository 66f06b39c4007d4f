// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/worker.h"

#include <cerrno>
#include <functional>
#include <semaphore>
#include <utility>

namespace vmm::virtio_device {
namespace {

using event_manager::EventLoop;

// Runs `function` on the loop's thread and waits for its end.
void run_on(EventLoop& loop, const std::function<void()>& function) {
  std::binary_semaphore done(0);
  loop.post([&] {
    function();
    done.release();
  });
  done.acquire();
}

Error not_served() { return Error::os(ENOENT, "start a queue again: no worker serves it"); }

}  // namespace

bool Worker::stop_queue(std::uint16_t) { return false; }

Result<void> Worker::start_queue(ActiveQueue&) { return fail(not_served()); }

LoopWorkers::LoopWorkers(std::vector<EventLoop*> loops) : loops_(std::move(loops)) {}

Result<void> LoopWorkers::start(WorkerList workers) {
  workers_ = std::move(workers);
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    Result<void> started;
    run_on(loop(i), [&] { started = workers_[i]->start(loop(i)); });
    if (!started) {
      stop();
      return started;
    }
  }
  return {};
}

void LoopWorkers::stop() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    run_on(loop(i), [&] { workers_[i].reset(); });
  }
  workers_.clear();
}

void LoopWorkers::drain() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    run_on(loop(i), [&] { workers_[i]->drain(); });
  }
}

void LoopWorkers::move_interrupts() {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    run_on(loop(i), [&] { workers_[i]->move_interrupts(); });
  }
}

void LoopWorkers::stop_queue(std::uint16_t index) {
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    bool stopped = false;
    run_on(loop(i), [&] { stopped = workers_[i]->stop_queue(index); });
    if (stopped) return;
  }
}

Result<void> LoopWorkers::start_queue(ActiveQueue queue) {
  Result<void> started = fail(not_served());
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    run_on(loop(i), [&] { started = workers_[i]->start_queue(queue); });
    if (started || !started.error().is_os(ENOENT)) break;
  }
  return started;
}

Result<void> InlineWorkers::start(WorkerList workers) {
  workers_ = std::move(workers);
  for (const std::unique_ptr<Worker>& worker : workers_) {
    Result<void> started = worker->start(loop_);
    if (!started) {
      stop();
      return started;
    }
  }
  return {};
}

void InlineWorkers::drain() {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->drain();
}

void InlineWorkers::move_interrupts() {
  for (const std::unique_ptr<Worker>& worker : workers_) worker->move_interrupts();
}

void InlineWorkers::stop_queue(std::uint16_t index) {
  for (const std::unique_ptr<Worker>& worker : workers_) {
    if (worker->stop_queue(index)) return;
  }
}

Result<void> InlineWorkers::start_queue(ActiveQueue queue) {
  Result<void> started = fail(not_served());
  for (const std::unique_ptr<Worker>& worker : workers_) {
    started = worker->start_queue(queue);
    if (started || !started.error().is_os(ENOENT)) break;
  }
  return started;
}

}  // namespace vmm::virtio_device
