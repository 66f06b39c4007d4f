// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <optional>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_pmem {

/// Serves the queue of requests.
class PmemWorker final : public virtio_device::Worker {
 public:
  PmemWorker(Flusher& flusher, virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  using Chain = virtio_queue::InlineChain<8>;

  void serve();
  std::size_t collect();
  void answer(const virtio_queue::Chain& chain, std::uint32_t result);

  Flusher& flusher_;
  std::optional<virtio_device::QueueRunner> runner_;
  std::array<Chain, Pmem::kBatch> flushes_;  // that wait for one flush()
};

}  // namespace vmm::virtio_pmem
