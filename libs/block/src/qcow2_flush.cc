// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Metadata on its way to the file, and clusters on their way back.
//
// The order, so that the file is good whenever the machine stops: refcounts, and the guest's data,
// before tables that rely on them; tables before refcounts of what they no longer point to. At
// worst, clusters are counted that nobody uses.

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "file_parts.h"
#include "qcow2_image.h"
#include "use_counts.h"
#include "vmm/base/log.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block::qcow2 {
namespace {

// Of what was given up since the last flush: what may be kept in memory, and the work it makes.
constexpr std::size_t kMaxGivenUp = 4096;
constexpr std::uint64_t kMaxGivenUpClusters = 65536;

}  // namespace

Result<void> Qcow2Image::open_for_writing() {
  if ((header_.incompatible & kCorrupt) != 0) {
    return fail(Error::os(EROFS, "write to the qcow2 image: it is marked corrupt"));
  }
  const MutexLock lock(mutex_);
  VMM_TRY(refcounts_, Refcounts::open(file_, header_, metadata_));
  VMM_TRY_DO(collect_metadata());
  if (!metadata_.finish()) {
    return fail(Error::os(EROFS, "write to the qcow2 image: its tables overlap"));
  }
  if ((header_.incompatible & kDirty) != 0) VMM_TRY_DO(repair());
  is_open_ = true;
  if (header_.version < 3) return {};
  // We keep no bitmaps, for example, and say so.
  if (header_.autoclear != 0) VMM_TRY_DO(write_header_word(kHeaderAutoclear, 0));
  // Until it is closed: clusters may be counted that nobody uses.
  VMM_TRY_DO(write_header_word(kHeaderIncompatible, header_.incompatible | kDirty));
  return file_.sync_data();
}

Result<void> Qcow2Image::collect_metadata() {
  metadata_.collect({.first = 0, .count = 1});
  metadata_.collect({.first = cluster_of(header_.refcount_table_offset),
                     .count = header_.refcount_table_clusters});
  if (l1_.size() != 0) {
    metadata_.collect(
        {.first = cluster_of(l1_.offset()), .count = header_.clusters_for(l1_.bytes())});
  }
  for (std::size_t i = 0; i < l1_.size(); ++i) {
    if (l1_[i] == 0) continue;
    const std::uint64_t table = l1_[i] & ~kEntryCopied;
    if (table == 0 || (table & ~kEntryOffset) != 0 || inside(table) != 0) {
      return fail(Error::os(EROFS, "write to the qcow2 image: its L1 table is broken"));
    }
    metadata_.collect({.first = cluster_of(table), .count = 1});
  }
  return collect_snapshots();
}

Result<void> Qcow2Image::collect_snapshots() {
  VMM_TRY(const Snapshots snapshots, read_snapshots(file_, header_));
  if (snapshots.bytes != 0) {
    metadata_.collect({.first = cluster_of(header_.snapshots_offset),
                       .count = header_.clusters_for(snapshots.bytes)});
  }
  for (const SnapshotL1& l1 : snapshots.tables) {
    if (l1.entries == 0) continue;
    metadata_.collect(
        {.first = cluster_of(l1.offset), .count = header_.clusters_for(l1.entries * kWord)});
  }
  return {};
}

/// Somebody stopped while refcounts were not yet written: counts again.
Result<void> Qcow2Image::repair() {
  VMM_LOG(kWarn, "a qcow2 image was not closed; its clusters are counted again");
  VMM_TRY(UseCounts uses, UseCounts::create(file_, header_));
  VMM_TRY_DO(uses.count());
  VMM_TRY_DO(refcounts_->repair(uses));
  return file_.sync_data();
}

Qcow2Image::~Qcow2Image() {
  const MutexLock lock(mutex_);
  if (!is_open_) return;
  // Nobody is there any more to be told of an error; the file is as good as after a crash.
  if (!flush() || !file_.sync_data() || header_.version < 3) return;
  if (write_header_word(kHeaderIncompatible, header_.incompatible & ~kDirty)) {
    (void)file_.sync_data();
  }
}

Result<void> Qcow2Image::write_header_word(std::size_t offset, std::uint64_t word) {
  std::array<std::byte, kWord> bytes{};
  store_be(bytes.data(), word);
  return sys_util::pwrite_all(file_.buffered_fd(), bytes, offset);
}

void Qcow2Image::mark_broken(const char* what) {
  if (broken_) return;
  broken_ = true;
  VMM_LOG(kError, "a qcow2 image is broken (%s) and is not written any more", what);
  if (header_.version < 3) return;
  (void)write_header_word(kHeaderIncompatible, header_.incompatible | kDirty | kCorrupt);
}

/// Whether data may be written there.
Result<void> Qcow2Image::check_place(std::uint64_t host, std::uint64_t bytes) {
  const MetadataMap::Range range = {.first = cluster_of(host),
                                    .count = cluster_of(host + bytes - 1) - cluster_of(host) + 1};
  if (range.first < refcounts_->end() && range.count <= refcounts_->end() - range.first &&
      !metadata_.overlaps(range)) {
    return {};
  }
  mark_broken("data where its metadata is, or beyond its end");
  return fail(Error::os(EIO, "write to the qcow2 image"));
}

/// Makes sure that there is an L2 table for the cluster, which no snapshot has as well.
Result<void> Qcow2Image::own_l2_table(std::uint64_t cluster) {
  const auto index = static_cast<std::size_t>(cluster / header_.l2_entries());
  if (index >= l1_.size()) return fail(Error::os(EIO, "the L1 table of the qcow2 image"));
  const std::uint64_t entry = l1_[index];
  if ((entry & kEntryCopied) != 0) return {};
  VMM_TRY(const std::uint64_t table, new_l2_table(entry));
  l1_.set(index, table | kEntryCopied);
  if (entry != 0) give_up_table(entry);
  return {};
}

/// Written at once, so that it is on the disk before an L1 entry that points to it.
Result<std::uint64_t> Qcow2Image::new_l2_table(std::uint64_t copy_of) {
  const int fd = file_.buffered_fd();
  VMM_TRY(const Refcounts::Run run, refcounts_->allocate(1));
  const std::uint64_t table = run.first << header_.cluster_bits;
  if (copy_of == 0) {
    VMM_TRY_DO(sys_util::write_zeroes(fd, {.offset = table, .length = header_.cluster_bytes()}));
  } else {
    std::vector<std::byte> bytes(static_cast<std::size_t>(header_.cluster_bytes()));
    VMM_TRY_DO(read_all(fd, bytes, copy_of));
    VMM_TRY_DO(sys_util::pwrite_all(fd, bytes, table));
  }
  l2_.drop(table, header_.cluster_bytes());
  metadata_.add({.first = run.first, .count = 1});
  return table;
}

void Qcow2Image::give_up(const Cluster& cluster) {
  if (cluster.host == 0) return;
  GivenUp more = {.first = cluster_of(cluster.host), .count = 1, .time = epochs_.now()};
  if (cluster.kind == Cluster::Kind::kPacked) {
    more.count = cluster_of(cluster.host + cluster.packed_bytes - 1) - more.first + 1;
  }
  given_up_for_good_ = false;
  given_up_clusters_ += more.count;
  if (!given_up_.empty()) {
    GivenUp& last = given_up_.back();
    if (last.first + last.count == more.first && last.time == more.time && !last.table) {
      last.count += more.count;
      return;
    }
  }
  given_up_.push_back(more);
}

void Qcow2Image::give_up_table(std::uint64_t host) {
  given_up_for_good_ = false;
  ++given_up_clusters_;
  given_up_.push_back(
      {.first = cluster_of(host), .count = 1, .time = epochs_.now(), .table = true});
}

/// What is given up for good, and nobody reads or writes any more.
Result<void> Qcow2Image::release_given_up() {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < given_up_.size(); ++i) {
    const GivenUp given = given_up_[i];
    if (!epochs_.is_over(given.time)) {
      given_up_[kept++] = given;
      continue;
    }
    given_up_clusters_ -= given.count;
    if (const auto done = release_given_up(given); !done) {
      mark_broken("a cluster that was used, but is metadata or not counted");
      given_up_.clear();
      return done;
    }
  }
  given_up_.resize(kept);
  return {};
}

/// What a broken table called data may be metadata, which stays.
Result<void> Qcow2Image::release_given_up(const GivenUp& given) {
  const MetadataMap::Range range = {.first = given.first, .count = given.count};
  if (given.table) {
    VMM_TRY(const std::uint64_t users, refcounts_->get(given.first));
    if (users == 1) metadata_.remove(range);  // else a snapshot has it, too
  } else if (metadata_.overlaps(range)) {
    return fail(Error::os(EIO, "give back a cluster of the qcow2 image that is metadata"));
  }
  return release(given.first, given.count);
}

Result<void> Qcow2Image::release(std::uint64_t first, std::uint64_t count) {
  std::uint64_t hole = first;  // free ones up to the current one
  const auto punch = [&](std::uint64_t to) {
    if (!options_.sparse || hole == to) return;
    // A file system that cannot do it loses some space.
    (void)sys_util::punch_hole(
        file_.buffered_fd(),
        {.offset = hole << header_.cluster_bits, .length = (to - hole) << header_.cluster_bits});
  };
  for (std::uint64_t cluster = first; cluster < first + count; ++cluster) {
    if (refcounts_->is_crowded()) VMM_TRY_DO(refcounts_->write());
    VMM_TRY(const bool freed, refcounts_->release(cluster));
    if (freed) continue;
    punch(cluster);
    hole = cluster + 1;
  }
  punch(first + count);
  return {};
}

Result<void> Qcow2Image::flush() {
  if (broken_ || file_.sync_failed())
    return fail(Error::os(EIO, "write to the broken qcow2 image"));
  const int fd = file_.buffered_fd();
  VMM_TRY_DO(refcounts_->write());
  if (l2_.is_dirty() || l1_.is_dirty()) {
    VMM_TRY_DO(file_.sync_data());
    VMM_TRY_DO(l2_.write_dirty());
    VMM_TRY_DO(l1_.write_dirty(fd));
  }
  if (given_up_.empty()) return {};
  if (!given_up_for_good_) VMM_TRY_DO(file_.sync_data());
  given_up_for_good_ = true;
  VMM_TRY_DO(release_given_up());
  return refcounts_->write();
}

Result<void> Qcow2Image::flush_if_crowded() {
  if (broken_ || file_.sync_failed())
    return fail(Error::os(EIO, "write to the broken qcow2 image"));
  const bool crowded = l2_.is_crowded() || refcounts_->is_crowded();
  const bool given_up =
      (given_up_.size() >= kMaxGivenUp || given_up_clusters_ >= kMaxGivenUpClusters) &&
      (!given_up_for_good_ || epochs_.is_over(given_up_.front().time));
  return crowded || given_up ? flush() : Result<void>();
}

Result<void> Qcow2Image::flush_metadata() {
  const MutexLock lock(mutex_);
  return refcounts_ ? flush() : Result<void>();
}

}  // namespace vmm::block::qcow2
