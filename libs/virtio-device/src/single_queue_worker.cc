// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/single_queue_worker.h"

#include <utility>

namespace vmm::virtio_device {

SingleQueueWorker::SingleQueueWorker(Activation activation)
    : interrupt_(std::move(activation.interrupt)), waiting_(std::move(activation.queues)) {}

Result<void> SingleQueueWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  for (ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  return {};
}

bool SingleQueueWorker::stop_queue(std::uint16_t /*index*/) {
  runner_.reset();
  forget();
  return true;
}

Result<void> SingleQueueWorker::start_queue(ActiveQueue& queue) {
  runner_.emplace(std::move(queue), interrupt_);
  Result<void> started = runner_->start(*loop_, [this] { serve(); });
  if (!started) runner_.reset();
  return started;
}

}  // namespace vmm::virtio_device
