// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "qcow2_format.h"
#include "vmm/block/image.h"

namespace vmm::block::qcow2 {

/// Clusters of the disk that have got a place which no table points to yet, as the data is not
/// there.
struct Allocation {
  enum class State : std::uint8_t { kFilling, kReady, kFailed };
  static constexpr std::uint64_t kMaxCount = 64;

  std::uint64_t first = 0;  ///< cluster of the disk
  std::uint64_t count = 0;
  std::uint64_t host = 0;  ///< where they are in the file, one after another
  bool fresh = false;      ///< the place reads as zeros
  bool own_place = true;   ///< it was free before; else it was the cluster's already
  State state = State::kReady;
  std::uint32_t writers = 0;
  // A bit for each cluster.
  std::uint64_t linked = 0;   ///< a table points to it now
  std::uint64_t dropped = 0;  ///< none will, as the guest gave it up meanwhile
  Cluster old_first{};        ///< what the first of them was before, and the last
  Cluster old_last{};

  [[nodiscard]] std::uint64_t bit(std::uint64_t cluster) const {
    return std::uint64_t{1} << (cluster - first);
  }
  [[nodiscard]] bool holds(std::uint64_t cluster) const { return cluster - first < count; }
};

/// A write whose data is on its way to an Allocation.
struct Writer {
  std::uint32_t allocation = 0;
  std::uint64_t epoch = 0;
  ByteRange range{};  ///< of the disk
};

/// The allocations and writers there are. Memory for as many as there were at once.
///
/// Threads: one at a time.
class PendingWrites {
 public:
  /// Tokens of writers are above this.
  explicit PendingWrites(std::uint64_t first_token) : first_token_(first_token) {}

  [[nodiscard]] std::uint32_t add(const Allocation& allocation);
  void remove(std::uint32_t index);
  [[nodiscard]] Allocation& at(std::uint32_t index) { return allocations_[index]; }
  /// The allocation for a cluster that is neither linked nor dropped.
  [[nodiscard]] std::optional<std::uint32_t> find(std::uint64_t cluster) const;
  /// The cluster's content is given up: no table will point to its new place.
  void drop(std::uint64_t cluster);

  [[nodiscard]] std::uint64_t begin(const Writer& writer);
  [[nodiscard]] const Writer& writer(std::uint64_t token) const {
    return writers_[static_cast<std::size_t>(token - first_token_ - 1)];
  }
  /// Answers whether it was the allocation's last writer.
  [[nodiscard]] bool end(std::uint64_t token);

 private:
  const std::uint64_t first_token_;
  std::vector<Allocation> allocations_;
  std::vector<std::uint32_t> used_;  // of allocations_
  std::vector<std::uint32_t> free_;
  std::vector<Writer> writers_;
  std::vector<std::uint32_t> free_writers_;
};

}  // namespace vmm::block::qcow2
