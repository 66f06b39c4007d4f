// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>

#include "vmm/virtio_device/single_queue_worker.h"
#include "vmm/virtio_pmem/pmem.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_pmem {

/// Serves the queue of requests.
class PmemWorker final : public virtio_device::SingleQueueWorker {
 public:
  PmemWorker(Flusher& flusher, virtio_device::Activation activation);

 private:
  using Chain = virtio_queue::InlineChain<8>;

  void serve() override;
  std::size_t collect();
  void answer(const virtio_queue::Chain& chain, std::uint32_t result);

  Flusher& flusher_;
  std::array<Chain, Pmem::kBatch> flushes_;  // that wait for one flush()
};

}  // namespace vmm::virtio_pmem
