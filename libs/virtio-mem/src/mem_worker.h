// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <optional>

#include "region_state.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_mem {

/// Serves the queue of requests, one after the other.
class MemWorker final : public virtio_device::Worker {
 public:
  MemWorker(std::shared_ptr<Mem::RegionState> state, virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  std::uint32_t serve(const virtio_queue::Chain& chain);

  std::shared_ptr<Mem::RegionState> state_;
  std::optional<virtio_device::QueueRunner> runner_;
  virtio_queue::InlineChain<8> chain_;
};

}  // namespace vmm::virtio_mem
