// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Discarding, zeroes and other sizes.

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "file_parts.h"
#include "qcow2_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block::qcow2 {

/// [first, end) of the clusters that lie in the range. The disk's last one may be a part of one.
std::pair<std::uint64_t, std::uint64_t> Qcow2Image::clusters_in(const ByteRange& range) const {
  const std::uint64_t end = range.offset + range.bytes;
  return {header_.clusters_for(range.offset),
          end == size_bytes() ? header_.clusters_for(end) : cluster_of(end)};
}

Result<std::optional<RangeWork>> Qcow2Image::discard(ByteRange range) {
  {
    const MutexLock lock(mutex_);
    VMM_TRY_DO(ready_to_write(range));
  }
  const auto [first, end] = clusters_in(range);
  if (options_.sparse && first < end) VMM_TRY_DO(clear(first, end, Clear::kDiscard));
  return std::optional<RangeWork>();
}

Result<std::optional<RangeWork>> Qcow2Image::write_zeroes(ByteRange range, bool may_unmap) {
  {
    const MutexLock lock(mutex_);
    VMM_TRY_DO(ready_to_write(range));
  }
  const Clear how = may_unmap && options_.sparse ? Clear::kZeroAndUnmap : Clear::kZero;
  const auto [first, limit] = clusters_in(range);
  if (first >= limit) {
    VMM_TRY_DO(zero_part(range));
    return std::optional<RangeWork>();
  }
  const std::uint64_t from = first << header_.cluster_bits;
  const std::uint64_t to = limit << header_.cluster_bits;
  const std::uint64_t end = range.offset + range.bytes;
  VMM_TRY_DO(zero_part({.offset = range.offset, .bytes = from - range.offset}));
  VMM_TRY_DO(clear(first, limit, how));
  if (to < end) VMM_TRY_DO(zero_part({.offset = to, .bytes = end - to}));
  return std::optional<RangeWork>();
}

/// Clusters [first, end) of the disk, in parts between which others have their turn.
Result<void> Qcow2Image::clear(std::uint64_t first, std::uint64_t end, Clear how) {
  while (first < end) {
    std::uint64_t next = first;
    {
      const MutexLock lock(mutex_);
      VMM_TRY_DO(flush_if_crowded());
      VMM_TRY(next, clear_some(first, end, how));
    }
    if (next == first) {  // there is no word for it in the table
      const std::uint64_t offset = first << header_.cluster_bits;
      const std::uint64_t size = size_bytes();
      if (offset >= size) return {};
      VMM_TRY_DO(
          zero_part({.offset = offset, .bytes = std::min(header_.cluster_bytes(), size - offset)}));
      ++next;
    }
    first = next;
  }
  return {};
}

/// Returns the first cluster that is left.
Result<std::uint64_t> Qcow2Image::clear_some(std::uint64_t first, std::uint64_t end, Clear how) {
  VMM_TRY(Entries entries, entries_from(first));
  const std::uint64_t count = std::min(entries.count, end - first);
  if (entries.words == nullptr) {
    const bool zero = is_zero({}, first << header_.cluster_bits);
    if (how == Clear::kDiscard || zero) return first + count;
    if (header_.version < 3) return first;
  }
  VMM_TRY_DO(own_l2_table(first));
  VMM_TRY(entries, entries_from(first));
  for (std::uint64_t i = 0; i < std::min(entries.count, end - first); ++i) {
    const auto cluster = decode_cluster(header_, entries[i]);
    if (!cluster && i != 0) return first + i;
    if (!cluster) return fail(cluster.error());
    if (!can_clear(*cluster, first + i, how)) return first + i;
    pending_.drop(first + i);
    const std::optional<std::uint64_t> word = cleared(*cluster, entries[i], first + i, how);
    if (!word) continue;
    store_be(entries.words + i * kWord, *word);
    l2_.mark_dirty();
    if ((*word & kEntryOffset) == 0) give_up(*cluster);
  }
  return first + std::min(entries.count, end - first);
}

/// Whether the table has a word for it.
bool Qcow2Image::can_clear(const Cluster& cluster, std::uint64_t index, Clear how) const {
  if (header_.version >= 3 || how == Clear::kDiscard) return true;
  if (!is_zero({}, index << header_.cluster_bits)) return false;
  return how != Clear::kZero || cluster.kind != Cluster::Kind::kData;
}

/// The new entry; nullopt when the old one stays.
std::optional<std::uint64_t> Qcow2Image::cleared(const Cluster& cluster, std::uint64_t entry,
                                                 std::uint64_t index, Clear how) const {
  const bool zero_below = is_zero({}, index << header_.cluster_bits);
  const std::uint64_t nothing = zero_below ? 0 : kEntryZeroes;
  if (cluster.kind == Cluster::Kind::kNone) {
    if (how == Clear::kDiscard || zero_below) return std::nullopt;
    return nothing;
  }
  if (how == Clear::kDiscard && header_.version < 3 && !zero_below) return std::nullopt;
  if (cluster.kind == Cluster::Kind::kZero && (how == Clear::kZero || cluster.host == 0)) {
    return std::nullopt;
  }
  if (how == Clear::kZero && cluster.kind == Cluster::Kind::kData && cluster.copied) {
    return entry | kEntryZeroes;
  }
  return nothing;
}

/// Writes zeros, but where there are some.
Result<void> Qcow2Image::zero_part(ByteRange range) {
  while (range.bytes != 0) {
    Extent extent;
    VMM_TRY(const ReadPlan plan, map(range, {&extent, 1}));
    end_read(plan.token);
    if (extent.kind != Extent::Kind::kZero) {
      VMM_TRY_DO(zero_extents({.offset = range.offset, .bytes = extent.bytes}));
    }
    range.offset += extent.bytes;
    range.bytes -= extent.bytes;
  }
  return {};
}

Result<void> Qcow2Image::zero_extents(ByteRange range) {
  while (range.bytes != 0) {
    std::array<Extent, 4> extents;
    VMM_TRY(const WritePlan plan, prepare_write(range, extents));
    Result<void> done;
    for (std::size_t i = 0; i < plan.count && done; ++i) {
      done = sys_util::write_zeroes(file_.buffered_fd(),
                                    {.offset = extents[i].file_offset, .length = extents[i].bytes});
    }
    const Result<void> finished = finish_write(plan.token, done.has_value());
    if (!done) return done;
    VMM_TRY_DO(finished);
    range.offset += plan.bytes;
    range.bytes -= plan.bytes;
  }
  return {};
}

Result<void> Qcow2Image::resize(std::uint64_t bytes) {
  if (!file_.writable()) return fail(Error::os(EROFS, "change the size of a read-only disk"));
  if (bytes % kSector != 0) return fail(Error::os(EINVAL, "a disk consists of whole sectors"));
  const std::uint64_t now = size_bytes();
  if (bytes == now) return {};
  if (header_.version < 3 && header_.snapshots != 0) {
    // Its snapshots would not know their size.
    return fail(Error::os(ENOTSUP, "change the size of a version 2 image with snapshots"));
  }
  return bytes > now ? grow(bytes) : shrink(bytes);
}

// What was cleared before an error reads as zeros; the disk keeps its size then, so that it can be
// tried again.
Result<void> Qcow2Image::shrink(std::uint64_t bytes) {
  const std::uint64_t old = size_bytes();
  const std::uint64_t end = header_.clusters_for(old);
  disk_bytes_.store(bytes, std::memory_order_relaxed);
  Result<void> done = clear(header_.clusters_for(bytes), end, Clear::kDiscard);
  const MutexLock lock(mutex_);
  if (done) done = flush();
  if (done) done = write_sizes(bytes);
  if (!done) disk_bytes_.store(old, std::memory_order_relaxed);
  return done;
}

Result<void> Qcow2Image::grow(std::uint64_t bytes) {
  const std::uint64_t old = size_bytes();
  {
    const MutexLock lock(mutex_);
    VMM_TRY_DO(flush_if_crowded());
    VMM_TRY_DO(make_room(bytes));
  }
  disk_bytes_.store(bytes, std::memory_order_relaxed);
  // The rest of the last cluster may hold anything, and so may a backing file that is longer.
  std::uint64_t known = header_.clusters_for(old) << header_.cluster_bits;
  if (backing_ != nullptr) known = std::max(known, backing_->size_bytes());
  known = std::min(known, bytes);
  Result<void> done;
  if (old < known) {
    if (auto zeroed = write_zeroes({.offset = old, .bytes = known - old}, true); !zeroed) {
      done = fail(zeroed.error());
    }
  }
  const MutexLock lock(mutex_);
  if (done) done = flush();
  if (done) done = write_sizes(bytes);
  if (!done) disk_bytes_.store(old, std::memory_order_relaxed);
  return done;
}

/// An L1 table for that many bytes.
Result<void> Qcow2Image::make_room(std::uint64_t bytes) {
  const std::uint64_t words = header_.l1_entries_for(bytes);
  if (words <= l1_.size()) return {};
  if (words * kWord > kMaxL1Bytes) return fail(Error::os(EFBIG, "make the qcow2 image larger"));
  const int fd = file_.buffered_fd();
  const std::uint64_t old_first = cluster_of(l1_.offset());
  const std::uint64_t old_count = header_.clusters_for(l1_.bytes());
  VMM_TRY(const Refcounts::Run run,
          refcounts_->allocate_at_end(header_.clusters_for(words * kWord)));
  VMM_TRY_DO(flush());
  WordTable larger = l1_;
  larger.grow(static_cast<std::size_t>(words));
  VMM_TRY_DO(larger.move_to(fd, run.first << header_.cluster_bits));
  VMM_TRY_DO(file_.sync_data());
  l1_ = std::move(larger);
  metadata_.add({.first = run.first, .count = run.count});
  if (auto written = write_sizes(size_bytes()); !written) {
    mark_broken("two L1 tables");
    return written;
  }
  if (old_count == 0) return {};  // what is at its place is something else
  metadata_.remove({.first = old_first, .count = old_count});
  return release(old_first, old_count);
}

/// The size of the disk and where its L1 table is: in one sector, and so at once.
Result<void> Qcow2Image::write_sizes(std::uint64_t bytes) {
  std::array<std::byte, 24> part{};
  store_be(&part[0], bytes);
  store_be(&part[kHeaderL1Entries - kHeaderDiskBytes], static_cast<std::uint32_t>(l1_.size()));
  store_be(&part[16], l1_.offset());
  VMM_TRY_DO(sys_util::pwrite_all(file_.buffered_fd(), part, kHeaderDiskBytes));
  return file_.sync_data();
}

}  // namespace vmm::block::qcow2
