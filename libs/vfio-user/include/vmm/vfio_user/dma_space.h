// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/vfio/dma_span.h"
#include "vmm/vfio_user/protocol.h"
#include "vmm/vfio_user/user_error.h"

namespace vmm::vfio_user {

/// Pages of any addresses that were written. It takes 64 MiB at most; beyond that, all pages count
/// as written.
class PageLog {
 public:
  static constexpr std::uint64_t kPageBytes = 4096;  ///< of the log; that of clients may be others

  /// Notes the pages that a range touches. Precondition: it does not pass 2^64.
  void mark(std::uint64_t iova, std::uint64_t bytes);
  /// Adds the pages of a range to a bitmap of a bit for `page_bytes` bytes, a power of two, and
  /// forgets them. Precondition: vfio::bitmap_fits().
  void take(vfio::DmaSpan range, std::uint64_t page_bytes, std::span<std::uint64_t> bitmap);

 private:
  static constexpr std::uint64_t kChunkPages = 32768;  // a page of bits
  static constexpr std::size_t kMaxChunks = 16384;

  std::map<std::uint64_t, std::vector<std::uint64_t>> chunks_;  // by the first page's number
  bool all_ = false;
};

/// The memory that a client has given its device, for the server: mapped where a file came with it,
/// asked for in messages where none did. The client may change it at any time, so that it is
/// copied.
///
/// A client that truncates a file later ends this process with SIGBUS: serve clients that do not
/// trust each other in processes of their own.
///
/// Threads: that of the session.
class DmaSpace {
 public:
  /// When the first of the pieces of an access was asked for that is not mapped.
  using Began = std::chrono::steady_clock::time_point;
  /// Moves bytes of memory that is not mapped; at most kMaxData at once.
  struct Remote {
    /// From the client, into `to`.
    std::function<Result<void>(std::uint64_t iova, std::span<std::byte> to, Began began)> read;
    std::function<Result<void>(std::uint64_t iova, std::span<const std::byte> from, Began began)>
        write;  ///< to the client
  };

  /// `remote` is asked for what add() got no file for; not empty then.
  explicit DmaSpace(Remote remote) : remote_(std::move(remote)) {}

  /// A range may be in several mappings that adjoin.
  /// Errors: kBadRange; kNotMapped, also for memory that may not be read; kNotWritable; those of
  /// the conversation, and the client's errno values.
  Result<void> read(std::uint64_t iova, std::span<std::byte> to) const;
  /// As read(); what is written is noted in log(), if there is one.
  Result<void> write(std::uint64_t iova, std::span<const std::byte> from);
  /// How many mappings there are.
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

  // For the session.

  /// kDmaMap. `fd` may be -1, and is not needed afterwards.
  /// Errors: kBadFlags, kBadRange; EEXIST for an overlap, ENOSPC beyond kMaxDmaMaps; ERANGE for a
  /// file that does not hold the range; those of mmap(2).
  Result<void> add(const DmaMap& map, int fd);
  /// Errors: ENOENT unless it is one mapping exactly.
  Result<void> remove(vfio::DmaSpan range);
  /// The first mapping; nullopt when there is none.
  [[nodiscard]] std::optional<vfio::DmaSpan> first() const;

  /// Pages that write() writes are noted from now on.
  void start_log() { log_.emplace(); }
  /// Forgets what was noted, and notes nothing more.
  void stop_log() { log_.reset(); }
  /// nullptr when nothing is noted.
  [[nodiscard]] PageLog* log() { return log_ ? &*log_ : nullptr; }

 private:
  struct Entry {
    std::uint64_t bytes = 0;
    std::uint32_t flags = 0;
    sys_util::FileMapping file;  // no data: not mapped
  };

  std::map<std::uint64_t, Entry> entries_;  // by the first address
  Remote remote_;
  std::optional<PageLog> log_;
};

}  // namespace vmm::vfio_user
