// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "region_state.h"
#include "vmm/virtio_device/single_queue_worker.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_mem {

/// Serves the queue of requests, one after the other.
class MemWorker final : public virtio_device::SingleQueueWorker {
 public:
  MemWorker(std::shared_ptr<Mem::RegionState> state, virtio_device::Activation activation);

 private:
  void serve() override;
  std::uint32_t answer(const virtio_queue::Chain& chain);

  std::shared_ptr<Mem::RegionState> state_;
  virtio_queue::InlineChain<8> chain_;
};

}  // namespace vmm::virtio_mem
