// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "refcounts.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <set>
#include <utility>

#include "file_parts.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block::qcow2 {
namespace {

constexpr std::size_t kCacheBytes = 2 << 20;
/// Clusters that are looked at for one allocation before it goes to the end of the file.
constexpr std::uint64_t kSearchBudget = 2048;
/// Clusters beyond the end of the file that claim to be in use, which one allocation passes over.
/// After a power loss there may be as many as were written since a flush.
constexpr int kStrangeBudget = 1 << 18;
constexpr std::uint64_t kMaxFileBytes = std::uint64_t{1} << 55;

Unexpected<Error> broken(const char* what) { return fail(Error::os(EIO, what)); }

/// Counts of less than a byte begin with the lowest bits of it; longer ones are big-endian.
std::uint64_t load_count(const std::byte* slice, std::uint64_t index, std::uint32_t order) {
  switch (order) {
    case 3:
      return std::to_integer<std::uint64_t>(slice[index]);
    case 4:
      return load_be<std::uint16_t>(slice + index * 2);
    case 5:
      return load_be<std::uint32_t>(slice + index * 4);
    case 6:
      return load_be<std::uint64_t>(slice + index * 8);
    default:
      break;
  }
  const std::uint64_t bit = index << order;
  const std::uint64_t mask = (std::uint64_t{1} << (1U << order)) - 1;
  return (std::to_integer<std::uint64_t>(slice[bit / 8]) >> (bit % 8)) & mask;
}

void store_count(std::byte* slice, std::uint64_t index, std::uint32_t order, std::uint64_t count) {
  switch (order) {
    case 3:
      slice[index] = static_cast<std::byte>(count);
      return;
    case 4:
      return store_be(slice + index * 2, static_cast<std::uint16_t>(count));
    case 5:
      return store_be(slice + index * 4, static_cast<std::uint32_t>(count));
    case 6:
      return store_be(slice + index * 8, count);
    default:
      break;
  }
  const std::uint64_t bit = index << order;
  const std::uint64_t mask = (std::uint64_t{1} << (1U << order)) - 1;
  const auto others = std::to_integer<std::uint64_t>(slice[bit / 8]) & ~(mask << (bit % 8));
  slice[bit / 8] = static_cast<std::byte>(others | (count << (bit % 8)));
}

}  // namespace

Refcounts::Refcounts(const ImageFile& file, const Header& header, MetadataMap& metadata)
    : file_(&file),
      header_(header),
      metadata_(&metadata),
      blocks_(file.buffered_fd(), header.slice_bytes(), kCacheBytes / header.slice_bytes()),
      per_slice_(blocks_.slice_bytes() * 8 >> header.refcount_order) {}

Result<Refcounts> Refcounts::open(const ImageFile& file, const Header& header,
                                  MetadataMap& metadata) {
  Refcounts counts(file, header, metadata);
  const std::uint64_t words = header.refcount_table_clusters * header.cluster_bytes() / kWord;
  VMM_TRY(counts.table_, WordTable::load(file.buffered_fd(), header.refcount_table_offset,
                                         static_cast<std::size_t>(words)));
  for (std::size_t i = 0; i < counts.table_.size(); ++i) {
    const std::uint64_t block = counts.table_[i];
    if (block == 0) continue;
    if ((block & ~kEntryOffset) != 0 || block % header.cluster_bytes() != 0) {
      return broken("a place in the refcount table of the qcow2 image");
    }
    metadata.collect({.first = block >> header.cluster_bits, .count = 1});
  }
  VMM_TRY(const std::uint64_t bytes, file.size_bytes());
  if (bytes > kMaxFileBytes) return broken("the length of the qcow2 image");
  counts.limit_ = kMaxFileBytes >> header.cluster_bits;
  counts.end_ = header.clusters_for(bytes);
  if (file.is_block_device()) {
    VMM_TRY_DO(counts.find_end());
  }
  return counts;
}

/// Where a device's part that is in use ends.
Result<void> Refcounts::find_end() {
  limit_ = end_;
  const std::uint64_t per_block = header_.refcounts_per_block();
  std::uint64_t block = std::min<std::uint64_t>(table_.size(), block_of(limit_ + per_block - 1));
  while (block != 0 && table_[static_cast<std::size_t>(block - 1)] == 0) --block;
  end_ = std::min(limit_, block * per_block);
  const std::uint64_t least = block == 0 ? 0 : (block - 1) * per_block;
  for (; end_ > least; --end_) {
    VMM_TRY(const std::uint64_t count, get(end_ - 1));
    if (count != 0) break;
  }
  return {};
}

Result<std::byte*> Refcounts::slice_of(std::uint64_t cluster) {
  const std::uint64_t block = table_[static_cast<std::size_t>(block_of(cluster))];
  const std::uint64_t slice = cluster % header_.refcounts_per_block() / per_slice_;
  return blocks_.get(block + slice * blocks_.slice_bytes());
}

Result<std::uint64_t> Refcounts::get(std::uint64_t cluster) {
  if (!has_block(cluster)) return std::uint64_t{0};
  VMM_TRY(const std::byte* const slice, slice_of(cluster));
  return load_count(slice, cluster % per_slice_, header_.refcount_order);
}

Result<void> Refcounts::set(std::uint64_t cluster, std::uint64_t count) {
  if (!has_block(cluster)) return broken("a refcount without a place");
  if (blocks_.is_crowded()) VMM_TRY_DO(blocks_.write_dirty());  // early never hurts
  VMM_TRY(std::byte* const slice, slice_of(cluster));
  store_count(slice, cluster % per_slice_, header_.refcount_order, count);
  blocks_.mark_dirty();
  return {};
}

Result<bool> Refcounts::is_free(std::uint64_t cluster) {
  VMM_TRY(const std::uint64_t count, get(cluster));
  return count == 0 && !metadata_->overlaps({.first = cluster, .count = 1});
}

Result<Refcounts::Run> Refcounts::allocate(std::uint64_t wanted) {
  if (broken_) return broken("allocate in the qcow2 image");
  VMM_TRY(Run run, find_free(wanted));
  if (run.count == 0) {
    VMM_TRY(run, run_at_end(wanted, false));
  }
  VMM_TRY_DO(take(run));
  return run;
}

Result<Refcounts::Run> Refcounts::allocate_at_end(std::uint64_t count) {
  if (broken_) return broken("allocate in the qcow2 image");
  VMM_TRY(const Run run, run_at_end(count, true));
  VMM_TRY_DO(take(run));
  return run;
}

Result<void> Refcounts::take(const Run& run) {
  for (std::uint64_t i = 0; i < run.count; ++i) VMM_TRY_DO(set(run.first + i, 1));
  end_ = std::max(end_, run.first + run.count);
  return {};
}

/// The next free ones that the file has; none when the search is over or for another time.
Result<Refcounts::Run> Refcounts::find_free(std::uint64_t wanted) {
  Run run;
  for (std::uint64_t looked = 0; search_ < end_ && looked < kSearchBudget; ++looked) {
    if (!has_block(search_)) {
      if (run.count != 0) break;
      search_ = (block_of(search_) + 1) * header_.refcounts_per_block();
      continue;
    }
    VMM_TRY(const bool free, is_free(search_));
    if (!free && run.count != 0) break;
    if (free && run.count == 0) run.first = search_;
    if (free) ++run.count;
    ++search_;
    if (run.count == wanted) break;
  }
  return run;
}

/// Clusters after the end of the file, whose refcounts have a place then: `wanted` of them, or
/// fewer when not `all`.
Result<Refcounts::Run> Refcounts::run_at_end(std::uint64_t wanted, bool all) {
  for (int strange = 0; strange < kStrangeBudget;) {
    const std::uint64_t per_block = header_.refcounts_per_block();
    const std::uint64_t left = per_block - end_ % per_block;
    const std::uint64_t count = all ? wanted : std::min(wanted, left);
    if (count > limit_ || end_ > limit_ - count) {
      return fail(Error::os(ENOSPC, "make the qcow2 image longer"));
    }
    std::uint64_t at = end_;
    while (at < end_ + count && has_block(at)) at += per_block - at % per_block;
    if (at < end_ + count) {
      VMM_TRY_DO(make_block(block_of(at)));
      continue;
    }
    std::uint64_t free = 0;
    for (; free < count; ++free) {
      VMM_TRY(const bool is, is_free(end_ + free));
      if (!is) break;
    }
    const bool enough = all ? free == count : free != 0;
    if (enough) return Run{.first = end_, .count = free, .fresh = !file_->is_block_device()};
    end_ += free + 1;
    ++strange;
  }
  return broken("refcounts beyond the end of the qcow2 image");
}

/// A refcount block at the end of the file, which may be the first to be counted in it.
Result<void> Refcounts::make_block(std::uint64_t block) {
  if (block >= table_.size()) VMM_TRY_DO(grow_table(block + 1));
  if (has_block(block * header_.refcounts_per_block())) return {};  // growing made it
  const bool describes_itself = block_of(end_) == block;
  if (!describes_itself && !has_block(end_)) return make_block(block_of(end_));
  const std::uint64_t cluster = end_++;
  const std::uint64_t offset = cluster << header_.cluster_bits;
  VMM_TRY(const bool free, is_free(cluster));
  if (!free) return {};  // the next one then
  VMM_TRY_DO(sys_util::write_zeroes(file_->buffered_fd(),
                                    {.offset = offset, .length = header_.cluster_bytes()}));
  blocks_.drop(offset, header_.cluster_bytes());
  metadata_->add({.first = cluster, .count = 1});
  table_.set(static_cast<std::size_t>(block), offset);
  return set(cluster, 1);
}

/// Moves the table to a larger place, at once: a half of it would be of no use to anybody.
Result<void> Refcounts::grow_table(std::uint64_t blocks) {
  const std::uint64_t old_words = table_.size();
  const std::uint64_t per_cluster = header_.l2_entries();
  // Room for the blocks that count the new table, too.
  const std::uint64_t words =
      (std::max(blocks + blocks / 2, old_words + 2) + per_cluster) / per_cluster * per_cluster;
  if (growing_ || words * kWord > kMaxRefcountTableBytes) {
    return fail(Error::os(EFBIG, "make the qcow2 image longer"));
  }
  const MetadataMap::Range old = {.first = table_.offset() >> header_.cluster_bits,
                                  .count = header_.refcount_table_clusters};
  growing_ = true;
  broken_ = true;  // until all of it is done
  table_.grow(static_cast<std::size_t>(words));
  VMM_TRY(const Run run, run_at_end(words / per_cluster, true));
  VMM_TRY_DO(take(run));
  VMM_TRY_DO(blocks_.write_dirty());
  VMM_TRY_DO(table_.move_to(file_->buffered_fd(), run.first << header_.cluster_bits));
  VMM_TRY_DO(file_->sync_data());
  header_.refcount_table_clusters = static_cast<std::uint32_t>(run.count);
  VMM_TRY_DO(write_table_place());
  metadata_->remove(old);
  metadata_->add({.first = run.first, .count = run.count});
  growing_ = false;
  broken_ = false;
  for (std::uint64_t i = 0; i < old.count; ++i) {
    VMM_TRY_DO(release(old.first + i));
  }
  return {};
}

Result<void> Refcounts::write_table_place() {
  std::array<std::byte, 12> bytes{};
  store_be(&bytes[0], table_.offset());
  store_be(&bytes[8], header_.refcount_table_clusters);
  VMM_TRY_DO(sys_util::pwrite_all(file_->buffered_fd(), bytes, kHeaderRefcountTable));
  return file_->sync_data();
}

Result<bool> Refcounts::release(std::uint64_t cluster) {
  VMM_TRY(const std::uint64_t count, get(cluster));
  if (count == 0) return broken("a cluster of the qcow2 image is in use, but not counted");
  VMM_TRY_DO(set(cluster, count - 1));
  if (count != 1) return false;
  search_ = std::min(search_, cluster);
  return true;
}

/// What is counted beyond the end of the file was never written to: the power went before.
Result<void> Refcounts::forget_beyond_end() {
  const std::uint64_t per_block = header_.refcounts_per_block();
  std::uint64_t cluster = end_;
  for (; has_block(cluster) && cluster % per_block != 0; ++cluster) {
    VMM_TRY(const std::uint64_t count, get(cluster));
    if (count != 0) VMM_TRY_DO(set(cluster, 0));
  }
  for (std::uint64_t block = block_of(cluster + per_block - 1); block < table_.size(); ++block) {
    const std::uint64_t offset = table_[static_cast<std::size_t>(block)];
    if (offset == 0) continue;
    blocks_.drop(offset, header_.cluster_bytes());
    metadata_->remove({.first = offset >> header_.cluster_bits, .count = 1});
    table_.set(static_cast<std::size_t>(block), 0);
  }
  return {};
}

Result<void> Refcounts::repair(const UseCounts& uses) {
  const std::uint64_t most = header_.refcount_order == 6
                                 ? ~std::uint64_t{0}
                                 : (std::uint64_t{1} << (1U << header_.refcount_order)) - 1;
  VMM_TRY_DO(forget_beyond_end());
  // What is not counted yet must not be taken for the blocks that are missing.
  for (std::uint64_t cluster = 0; cluster < end_; ++cluster) {
    while (uses[cluster] != 0 && !has_block(cluster)) VMM_TRY_DO(make_block(block_of(cluster)));
  }
  std::set<std::uint64_t> own;
  for (std::size_t i = 0; i < table_.size(); ++i) own.insert(table_[i] >> header_.cluster_bits);
  const std::uint64_t table = table_.offset() >> header_.cluster_bits;
  for (std::uint64_t cluster = 0; cluster < end_; ++cluster) {
    const bool in_table = cluster - table < header_.refcount_table_clusters;
    const std::uint64_t count = std::uint64_t{uses[cluster]} +
                                (in_table || (cluster != 0 && own.contains(cluster)) ? 1 : 0);
    if (count > most) return broken("a refcount of the qcow2 image");
    VMM_TRY(const std::uint64_t now, get(cluster));
    if (now != count) VMM_TRY_DO(set(cluster, count));
  }
  return write();
}

Result<void> Refcounts::write() {
  if (broken_) return broken("write the refcounts of the qcow2 image");
  VMM_TRY_DO(blocks_.write_dirty());
  if (!table_.is_dirty()) return {};
  // New blocks before what points to them.
  VMM_TRY_DO(file_->sync_data());
  return table_.write_dirty(file_->buffered_fd());
}

}  // namespace vmm::block::qcow2
