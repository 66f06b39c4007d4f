// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/virtio_queue/stream.h"

namespace vmm::virtio_balloon {

/// What a driver may tell of its memory: virtio 1.3, 5.5.6.4. The last six are of later drafts.
enum class Statistic : std::uint16_t {
  kSwapIn = 0,             ///< bytes
  kSwapOut = 1,            ///< bytes
  kMajorFaults = 2,        ///< count
  kMinorFaults = 3,        ///< count
  kFreeMemory = 4,         ///< bytes
  kTotalMemory = 5,        ///< bytes
  kAvailableMemory = 6,    ///< bytes, an estimate
  kDiskCaches = 7,         ///< bytes
  kHugePageAllocated = 8,  ///< count
  kHugePageFailed = 9,     ///< count
  kOutOfMemoryKills = 10,  ///< count
  kAllocationStalls = 11,  ///< count
  kAsyncScans = 12,        ///< pages
  kDirectScans = 13,       ///< pages
  kAsyncReclaims = 14,     ///< pages
  kDirectReclaims = 15,    ///< pages
};

/// The driver's word: each value is what it pleases to say.
class Statistics {
 public:
  static constexpr std::size_t kCount = 16;  ///< tags that are known, from 0 on
  /// Entries that are looked at in one buffer.
  static constexpr std::size_t kMaxEntries = 64;

  /// Reads a buffer of 5.5.6.3. Tags that are not known are passed over; of one that comes twice
  /// the last counts.
  static Statistics parse(virtio_queue::Reader reader, std::chrono::steady_clock::time_point now);

  /// nullopt when the driver did not tell it.
  [[nodiscard]] std::optional<std::uint64_t> value(Statistic statistic) const {
    const auto index = static_cast<std::size_t>(statistic);
    return index < kCount ? values_[index] : std::nullopt;
  }
  /// When the driver told.
  [[nodiscard]] std::chrono::steady_clock::time_point time() const { return time_; }

 private:
  std::array<std::optional<std::uint64_t>, kCount> values_{};
  std::chrono::steady_clock::time_point time_;
};

}  // namespace vmm::virtio_balloon
