// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "qcow2_format.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"

namespace vmm::block::qcow2 {

/// Unpacks `from`, of which the end may be something else, into exactly to.size() bytes.
/// Errors: EIO for anything else; ENOMEM.
Result<void> unpack(Compression compression, std::span<const std::byte> from,
                    std::span<std::byte> to);

/// Reads compressed clusters, and keeps the last few that were asked for. Nobody writes such
/// clusters, so what is kept stays right.
///
/// Threads: any, several at once.
class PackedClusters {
 public:
  PackedClusters(int fd, const Header& header)
      : fd_(fd), compression_(header.compression), cluster_bytes_(header.cluster_bytes()) {}

  /// Copies the bytes from `inside` on of the cluster. Precondition: they end inside of it.
  Result<void> read(const Cluster& cluster, std::uint64_t inside, std::span<std::byte> to);

 private:
  static constexpr std::size_t kKept = 4;
  struct Kept {
    std::uint64_t host = 0;  // 0: nothing, as the header is there
    std::vector<std::byte> bytes;
  };

  Result<void> load(const Cluster& cluster, Kept& kept) VMM_REQUIRES(mutex_);

  const int fd_;
  const Compression compression_;
  const std::uint64_t cluster_bytes_;
  Mutex mutex_;
  std::vector<std::byte> packed_ VMM_GUARDED_BY(mutex_);
  std::array<Kept, kKept> kept_ VMM_GUARDED_BY(mutex_);
  std::size_t next_ VMM_GUARDED_BY(mutex_) = 0;
};

}  // namespace vmm::block::qcow2
