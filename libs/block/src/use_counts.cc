// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "use_counts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "file_parts.h"
#include "word_table.h"

namespace vmm::block::qcow2 {
namespace {

/// 512 MiB of counts: files of 4 TiB with clusters of 64 KiB.
constexpr std::uint64_t kMaxClusters = std::uint64_t{1} << 26;
/// Of all L1 tables together, the disk's and those of its snapshots.
constexpr std::uint64_t kMaxL1Words = (std::uint64_t{1} << 30) / kWord;

Unexpected<Error> broken(const char* what) { return fail(Error::os(EIO, what)); }

}  // namespace

Result<Snapshots> read_snapshots(const ImageFile& file, const Header& header) {
  constexpr std::size_t kFixed = 40;
  Snapshots snapshots;
  for (std::uint32_t i = 0; i < header.snapshots; ++i) {
    std::array<std::byte, kFixed> bytes{};
    VMM_TRY_DO(read_all(file.buffered_fd(), bytes, header.snapshots_offset + snapshots.bytes));
    const SnapshotL1 l1 = {.offset = load_be<std::uint64_t>(&bytes[0]),
                           .entries = load_be<std::uint32_t>(&bytes[8])};
    if ((l1.offset & ~kEntryOffset) != 0 || (l1.offset & (header.cluster_bytes() - 1)) != 0 ||
        l1.entries * kWord > kMaxL1Bytes) {
      return broken("a snapshot of the qcow2 image");
    }
    snapshots.tables.push_back(l1);
    // Further data, id and name follow, padded.
    const std::uint64_t names =
        std::uint64_t{load_be<std::uint16_t>(&bytes[12])} + load_be<std::uint16_t>(&bytes[14]);
    snapshots.bytes += (kFixed + load_be<std::uint32_t>(&bytes[36]) + names + 7) / 8 * 8;
    if (snapshots.bytes > kMaxSnapshotBytes) return broken("the snapshots of the qcow2 image");
  }
  return snapshots;
}

Result<UseCounts> UseCounts::create(const ImageFile& file, const Header& header) {
  VMM_TRY(const std::uint64_t bytes, file.size_bytes());
  const std::uint64_t clusters = bytes / header.cluster_bytes() + 1;
  if (clusters > kMaxClusters) {
    return fail(Error::os(EFBIG, "count the clusters of the qcow2 image"));
  }
  UseCounts counts(file, header);
  counts.uses_.resize(static_cast<std::size_t>(clusters));
  counts.tables_.resize(static_cast<std::size_t>(clusters));
  return counts;
}

Result<void> UseCounts::use(std::uint64_t offset, std::uint64_t bytes, std::uint32_t times) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  if (bytes == 0) return {};
  const std::uint64_t first = offset >> header_.cluster_bits;
  const std::uint64_t last = (offset + bytes - 1) >> header_.cluster_bits;
  if (last >= uses_.size() || last < first) return broken("a cluster beyond the qcow2 image");
  for (std::uint64_t cluster = first; cluster <= last; ++cluster) {
    std::uint32_t& uses = uses_[static_cast<std::size_t>(cluster)];
    uses += std::min(times, kMost - uses);
  }
  return {};
}

Result<void> UseCounts::count() {
  VMM_TRY_DO(use(0, header_.cluster_bytes()));
  VMM_TRY_DO(count_l1(header_.l1_offset, header_.l1_entries));
  VMM_TRY(const Snapshots snapshots, read_snapshots(*file_, header_));
  VMM_TRY_DO(use(header_.snapshots_offset, snapshots.bytes));
  for (const SnapshotL1& l1 : snapshots.tables) VMM_TRY_DO(count_l1(l1.offset, l1.entries));
  // Tables may be shared by any number of entries; each is looked at once.
  for (std::size_t cluster = 0; cluster < tables_.size(); ++cluster) {
    if (tables_[cluster] != 0) VMM_TRY_DO(count_l2(cluster, tables_[cluster]));
  }
  return {};
}

Result<void> UseCounts::count_l1(std::uint64_t offset, std::uint64_t entries) {
  l1_words_ += entries;
  if (l1_words_ > kMaxL1Words) return broken("the L1 tables of the qcow2 image");
  VMM_TRY(const WordTable table,
          WordTable::load(file_->buffered_fd(), offset, static_cast<std::size_t>(entries)));
  VMM_TRY_DO(use(offset, table.bytes()));
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i] != 0) VMM_TRY_DO(note_l2(table[i] & ~kEntryCopied));
  }
  return {};
}

Result<void> UseCounts::note_l2(std::uint64_t offset) {
  const std::uint64_t cluster = offset >> header_.cluster_bits;
  if ((offset & ~kEntryOffset) != 0 || (offset & (header_.cluster_bytes() - 1)) != 0 ||
      cluster >= tables_.size()) {
    return broken("the L1 table of the qcow2 image");
  }
  std::uint32_t& times = tables_[static_cast<std::size_t>(cluster)];
  if (times != std::numeric_limits<std::uint32_t>::max()) ++times;
  return {};
}

Result<void> UseCounts::count_l2(std::uint64_t at, std::uint32_t times) {
  const std::uint64_t offset = at << header_.cluster_bits;
  VMM_TRY(const WordTable table, WordTable::load(file_->buffered_fd(), offset,
                                                 static_cast<std::size_t>(header_.l2_entries())));
  VMM_TRY_DO(use(offset, header_.cluster_bytes(), times));
  for (std::size_t i = 0; i < table.size(); ++i) {
    if (table[i] == 0) continue;
    VMM_TRY(const Cluster cluster, decode_cluster(header_, table[i]));
    if (cluster.kind == Cluster::Kind::kPacked) {
      VMM_TRY_DO(use(cluster.host, cluster.packed_bytes, times));
    } else if (cluster.host != 0) {
      VMM_TRY_DO(use(cluster.host, header_.cluster_bytes(), times));
    }
  }
  return {};
}

}  // namespace vmm::block::qcow2
