// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"

namespace vmm::virtio_device {

/// The worker of a device with one queue: starts it, ends it and starts it again, so that the
/// device may offer RING_RESET. What a queue's requests mean is a derived class's.
class SingleQueueWorker : public Worker {
 public:
  Result<void> start(event_manager::EventLoop& loop) override;
  [[nodiscard]] bool stop_queue(std::uint16_t index) override;
  Result<void> start_queue(ActiveQueue& queue) override;

 protected:
  /// Of a device that has one queue, enabled or not.
  explicit SingleQueueWorker(Activation activation);

  /// At each kick of the queue's.
  virtual void serve() = 0;
  /// The queue was reset: what is kept of its requests means nothing any more, and serve() is not
  /// to be called before the queue starts again.
  virtual void forget() {}

  /// Whether the queue runs, as it does in serve().
  [[nodiscard]] bool runs() const { return runner_.has_value(); }
  /// Precondition: the queue runs.
  [[nodiscard]] QueueRunner& runner() { return *runner_; }
  /// Precondition: start() was called.
  [[nodiscard]] event_manager::EventLoop& loop() { return *loop_; }

 private:
  std::shared_ptr<Interrupt> interrupt_;
  std::vector<ActiveQueue> waiting_;  // for start()
  event_manager::EventLoop* loop_ = nullptr;
  std::optional<QueueRunner> runner_;
};

}  // namespace vmm::virtio_device
