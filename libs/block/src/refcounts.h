// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "metadata_map.h"
#include "qcow2_format.h"
#include "slice_cache.h"
#include "use_counts.h"
#include "vmm/base/result.h"
#include "vmm/block/image_file.h"
#include "word_table.h"

namespace vmm::block::qcow2 {

/// How often each cluster of the file is used: finds free ones, and says so in the file.
///
/// Threads: one at a time.
class Refcounts {
 public:
  /// Clusters that follow each other.
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    bool fresh = false;  ///< were never written: read as zeros
  };

  /// `file` and `metadata`, which has what the header names, outlive this; the refcount blocks are
  /// collected into it. Errors: EIO; those of pread(2).
  static Result<Refcounts> open(const ImageFile& file, const Header& header, MetadataMap& metadata);

  /// Takes free clusters, at least one and at most `wanted`. The file says so after write().
  /// Errors: EFBIG when the file cannot grow; EIO; those of pwrite(2).
  Result<Run> allocate(std::uint64_t wanted);
  /// The same for exactly so many, at the end of the file.
  Result<Run> allocate_at_end(std::uint64_t count);
  /// One user less; answers whether the cluster is free now. Errors: EIO when it was free.
  Result<bool> release(std::uint64_t cluster);
  Result<std::uint64_t> get(std::uint64_t cluster);
  /// Makes all counts those of `uses`, and its own. Errors: EIO for counts that don't fit.
  Result<void> repair(const UseCounts& uses);
  /// Clusters of the file, the last one may be a part of one.
  [[nodiscard]] std::uint64_t end() const { return end_; }

  [[nodiscard]] bool is_dirty() const { return blocks_.is_dirty() || table_.is_dirty(); }
  [[nodiscard]] bool is_crowded() const { return blocks_.is_crowded(); }
  /// Writes all of it. It has to be on the disk before anything that relies on it is written.
  Result<void> write();

 private:
  Refcounts(const ImageFile& file, const Header& header, MetadataMap& metadata);

  Result<void> set(std::uint64_t cluster, std::uint64_t count);
  Result<std::byte*> slice_of(std::uint64_t cluster);
  [[nodiscard]] std::uint64_t block_of(std::uint64_t cluster) const {
    return cluster / header_.refcounts_per_block();
  }
  [[nodiscard]] bool has_block(std::uint64_t cluster) const {
    return block_of(cluster) < table_.size() &&
           table_[static_cast<std::size_t>(block_of(cluster))] != 0;
  }
  Result<bool> is_free(std::uint64_t cluster);
  Result<void> find_end();
  Result<void> forget_beyond_end();
  Result<void> make_block(std::uint64_t block);
  Result<void> grow_table(std::uint64_t blocks);
  Result<void> write_table_place();
  Result<Run> find_free(std::uint64_t wanted);
  Result<Run> run_at_end(std::uint64_t wanted, bool all);
  Result<void> take(const Run& run);

  const ImageFile* file_;
  Header header_;
  MetadataMap* metadata_;
  WordTable table_;
  SliceCache blocks_;
  std::uint64_t per_slice_;
  std::uint64_t end_ = 0;     // of the file
  std::uint64_t limit_ = 0;   // of end_
  std::uint64_t search_ = 0;  // the next cluster to look at; up to end_
  bool growing_ = false;
  bool broken_ = false;  // the table in memory is not the file's
};

}  // namespace vmm::block::qcow2
