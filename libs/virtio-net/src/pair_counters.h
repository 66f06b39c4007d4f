// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/virtio_net/counters.h"

namespace vmm::virtio_net {

/// The counters of one direction of a pair of queues: one thread adds, others read. They outlive
/// activations.
class Traffic {
 public:
  // There is one thread that writes, so that no locked instruction is needed.
  void count(std::uint32_t bytes) {
    bytes_.store(bytes_.load(kRelaxed) + bytes, kRelaxed);
    packets_.store(packets_.load(kRelaxed) + 1, kRelaxed);
  }
  void add_to(TrafficCounters& sum) const {
    sum.packets += packets_.load(kRelaxed);
    sum.bytes += bytes_.load(kRelaxed);
  }

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;

  std::atomic<std::uint64_t> packets_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

struct PairCounters {
  Traffic received;
  Traffic transmitted;
};

}  // namespace vmm::virtio_net
