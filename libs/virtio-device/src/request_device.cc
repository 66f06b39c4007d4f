// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/request_device.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "vmm/virtio_device/queue_runner.h"

namespace vmm::virtio_device {

class RequestDevice::RequestWorker final : public Worker {
 public:
  RequestWorker(RequestDevice& device, Activation activation)
      : device_(device),
        interrupt_(std::move(activation.interrupt)),
        waiting_(std::move(activation.queues)),
        chain_(std::ranges::max(device.queue_sizes())) {}

  Result<void> start(event_manager::EventLoop& loop) override {
    loop_ = &loop;
    for (ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
    waiting_.clear();
    return {};
  }
  bool stop_queue(std::uint16_t index) override {
    return std::erase_if(running_, [&](const auto& r) { return r->index() == index; }) != 0;
  }
  Result<void> start_queue(ActiveQueue& queue) override {
    running_.push_back(std::make_unique<QueueRunner>(std::move(queue), interrupt_));
    QueueRunner& runner = *running_.back();
    return runner.start(*loop_, [this, &runner] {
      runner.serve(chain_,
                   [this, &runner](virtio_queue::Chain& chain) -> std::optional<std::uint32_t> {
                     return device_.answer(runner.index(), chain);
                   });
    });
  }

 private:
  RequestDevice& device_;
  std::shared_ptr<Interrupt> interrupt_;
  std::vector<ActiveQueue> waiting_;
  event_manager::EventLoop* loop_ = nullptr;
  virtio_queue::ChainBuffer chain_;
  std::vector<std::unique_ptr<QueueRunner>> running_;
};

std::uint64_t RequestDevice::features() const {
  return shape_.features | virtio_queue::kFeatureInOrder | virtio_queue::kFeatureRingReset;
}

Result<WorkerList> RequestDevice::activate(Activation activation) {
  WorkerList workers;
  workers.push_back(std::make_unique<RequestWorker>(*this, std::move(activation)));
  return workers;
}

}  // namespace vmm::virtio_device
