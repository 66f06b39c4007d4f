// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "vmm/virtio_blk/counters.h"

namespace vmm::virtio_blk {

/// The counters of one queue: one thread adds, others read. They outlive activations.
class QueueCounters {
 public:
  struct Transfer {
    std::atomic<std::uint64_t> requests{0};
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> latency_total{0};
    std::atomic<std::uint64_t> latency_min{0};
    std::atomic<std::uint64_t> latency_max{0};

    void count(std::uint64_t size, std::chrono::nanoseconds latency) {
      const auto ns = static_cast<std::uint64_t>(latency.count());
      if (requests.load(kRelaxed) == 0 || ns < latency_min.load(kRelaxed)) {
        latency_min.store(ns, kRelaxed);
      }
      if (ns > latency_max.load(kRelaxed)) latency_max.store(ns, kRelaxed);
      increase(bytes, size);
      increase(latency_total, ns);
      increase(requests, 1);
    }
    [[nodiscard]] TransferCounters read() const {
      return {.requests = requests.load(kRelaxed),
              .bytes = bytes.load(kRelaxed),
              .latency_total = latency_total.load(kRelaxed),
              .latency_min = latency_min.load(kRelaxed),
              .latency_max = latency_max.load(kRelaxed)};
    }
  };

  /// There is one thread that writes, so that no locked instruction is needed.
  static void increase(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
    counter.store(counter.load(kRelaxed) + by, kRelaxed);
  }

  Transfer reads;
  Transfer writes;
  std::atomic<std::uint64_t> flushes{0};
  std::atomic<std::uint64_t> errors{0};
  std::atomic<std::uint64_t> throttled{0};

 private:
  static constexpr auto kRelaxed = std::memory_order_relaxed;
};

}  // namespace vmm::virtio_blk
