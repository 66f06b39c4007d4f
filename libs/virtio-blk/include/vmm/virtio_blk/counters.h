// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>

namespace vmm::virtio_blk {

/// Of the reads or of the writes that ended without an error. Latencies are from the look at a
/// request to its answer, in nanoseconds; batches share one look at the clock.
struct TransferCounters {
  std::uint64_t requests = 0;       ///< that ended without an error
  std::uint64_t bytes = 0;          ///< of their data
  std::uint64_t latency_total = 0;  ///< of all requests, in ns
  std::uint64_t latency_min = 0;    ///< 0: no request yet
  std::uint64_t latency_max = 0;    ///< ns

  /// Sums up, for the counters of several queues.
  void add(const TransferCounters& other) {
    if (other.requests == 0) return;
    latency_min = requests == 0 ? other.latency_min : std::min(latency_min, other.latency_min);
    latency_max = std::max(latency_max, other.latency_max);
    requests += other.requests;
    bytes += other.bytes;
    latency_total += other.latency_total;
  }
};

/// What a disk has done since it was made.
struct BlkCounters {
  TransferCounters reads;       ///< type IN
  TransferCounters writes;      ///< type OUT
  std::uint64_t flushes = 0;    ///< that ended without an error
  std::uint64_t errors = 0;     ///< requests of any kind that got another status than kOk
  std::uint64_t throttled = 0;  ///< how often the rate limiter made a queue wait
};

}  // namespace vmm::virtio_blk
