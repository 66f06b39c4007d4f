// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <vector>

#include "qcow2_format.h"
#include "vmm/base/result.h"
#include "vmm/block/image_file.h"

namespace vmm::block::qcow2 {

/// Counts how often each cluster of a file is used: by the header, by the tables of the disk and
/// of its snapshots, and by what these point to. Not by the refcounts themselves.
///
/// Threads: one at a time.
class UseCounts {
 public:
  /// Errors: EFBIG for more clusters than memory is taken for.
  static Result<UseCounts> create(const ImageFile& file, const Header& header);

  /// All of it. Errors: EIO for a table or cluster that cannot be; those of pread(2).
  Result<void> count();
  [[nodiscard]] std::uint32_t operator[](std::uint64_t cluster) const {
    return cluster < uses_.size() ? uses_[static_cast<std::size_t>(cluster)] : 0;
  }

 private:
  UseCounts(const ImageFile& file, const Header& header) : file_(&file), header_(header) {}

  Result<void> use(std::uint64_t offset, std::uint64_t bytes, std::uint32_t times = 1);
  Result<void> count_l1(std::uint64_t offset, std::uint64_t entries);
  Result<void> note_l2(std::uint64_t offset);
  Result<void> count_l2(std::uint64_t at, std::uint32_t times);

  const ImageFile* file_;
  Header header_;
  std::vector<std::uint32_t> uses_;
  std::vector<std::uint32_t> tables_;  // how many L1 entries point to the cluster
  std::uint64_t l1_words_ = 0;         // that were read
};

/// A snapshot's L1 table.
struct SnapshotL1 {
  std::uint64_t offset = 0;
  std::uint64_t entries = 0;
};
struct Snapshots {
  std::vector<SnapshotL1> tables;
  std::uint64_t bytes = 0;  ///< of the list itself, which is at Header::snapshots_offset
};

/// Errors: EIO for what cannot be.
Result<Snapshots> read_snapshots(const ImageFile& file, const Header& header);

}  // namespace vmm::block::qcow2
