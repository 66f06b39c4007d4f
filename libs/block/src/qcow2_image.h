// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "epochs.h"
#include "metadata_map.h"
#include "packed_clusters.h"
#include "pending_writes.h"
#include "qcow2_format.h"
#include "refcounts.h"
#include "slice_cache.h"
#include "vmm/base/mutex.h"
#include "vmm/block/image.h"
#include "vmm/block/open_image.h"
#include "word_table.h"

namespace vmm::block::qcow2 {

/// Reads what the disk has from `offset` on, on this thread. Precondition: inside of the disk.
Result<void> read_disk(Image& image, std::uint64_t offset, std::span<std::byte> to);

class Qcow2Image final : public Image {
 public:
  static Result<std::unique_ptr<Image>> open(ImageFile file, const Header& header,
                                             std::unique_ptr<Image> backing,
                                             const ImageOptions& options);

  [[nodiscard]] std::uint64_t size_bytes() const override {
    return disk_bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const ImageFile& file() const override { return file_; }
  /// Writes everything. Precondition: nothing is in flight.
  ~Qcow2Image() override;

  Result<ReadPlan> map(ByteRange range, std::span<Extent> out) override;
  void end_read(std::uint64_t token) override { epochs_.end(token); }
  Result<void> read_slow(std::uint64_t offset, std::span<std::byte> to) override;

  Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) override;
  Result<void> finish_write(std::uint64_t token, bool written) override;
  Result<std::optional<RangeWork>> discard(ByteRange range) override;
  Result<std::optional<RangeWork>> write_zeroes(ByteRange range, bool may_unmap) override;
  Result<void> flush_metadata() override;
  Result<void> resize(std::uint64_t bytes) override;

 private:
  /// The L2 entries from one cluster on that are next to each other.
  struct Entries {
    std::byte* words = nullptr;  // nullptr: there is no L2 table
    std::uint64_t count = 0;
    [[nodiscard]] std::uint64_t operator[](std::uint64_t i) const {
      return words == nullptr ? 0 : load_be<std::uint64_t>(words + i * kWord);
    }
  };
  /// Something to be copied into a new place: from `old`, or zeros.
  struct Fill {
    ByteRange range;  // of the disk
    std::uint64_t host = 0;
    Cluster old;
    bool fresh = false;
  };
  struct Fills {
    std::array<Fill, 2> list;
    std::size_t count = 0;
    void add(const Fill& fill) { list[count++] = fill; }
  };
  /// Clusters of the file that nothing points to any more, once the tables are on the disk.
  struct GivenUp {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
    std::uint64_t time = 0;  // of epochs_
    bool table = false;      // an L2 table, which a snapshot may have as well
  };
  enum class Clear : std::uint8_t { kDiscard, kZeroAndUnmap, kZero };

  Qcow2Image(ImageFile file, const Header& header, std::unique_ptr<Image> backing,
             const ImageOptions& options);

  [[nodiscard]] bool holds(const ByteRange& range) const;
  [[nodiscard]] std::uint64_t cluster_of(std::uint64_t offset) const {
    return offset >> header_.cluster_bits;
  }
  [[nodiscard]] std::uint64_t inside(std::uint64_t offset) const {
    return offset & (header_.cluster_bytes() - 1);
  }
  [[nodiscard]] std::pair<std::uint64_t, std::uint64_t> clusters_in(const ByteRange& range) const;
  Result<Entries> entries_from(std::uint64_t cluster) VMM_REQUIRES(mutex_);

  /// Where the start of `range`, which lies in one cluster or one run without an L2 table, is.
  Result<std::size_t> map_part(ByteRange range, std::uint64_t entry, std::span<Extent> out);
  Result<std::size_t> map_absent(ByteRange range, std::span<Extent> out);
  Result<std::size_t> map_all(ByteRange range, std::span<Extent> out) VMM_REQUIRES(mutex_);

  /// What a cluster of the disk has, or had: a part of it.
  Result<void> read_cluster(const Cluster& cluster, std::uint64_t offset, std::span<std::byte> to);
  [[nodiscard]] bool is_zero(const Cluster& cluster, std::uint64_t offset) const;

  // qcow2_write.cc
  Result<void> ready_to_write(const ByteRange& range) VMM_REQUIRES(mutex_);
  Result<WritePlan> plan_in_place(ByteRange range, std::span<Extent> out) VMM_REQUIRES(mutex_);
  Result<WritePlan> plan_joining(std::uint32_t index, ByteRange range, Extent& out)
      VMM_REQUIRES(mutex_);
  Result<WritePlan> plan_new(ByteRange range, Extent& out, Fills& fills) VMM_REQUIRES(mutex_);
  Result<Allocation> allocate(std::uint64_t cluster, std::uint64_t wanted) VMM_REQUIRES(mutex_);
  [[nodiscard]] Fills fills_around(const Allocation& allocation, const ByteRange& range) const;
  Result<void> fill(const Fills& fills);
  Result<void> copy_old(const Fill& fill);
  Result<void> put_back(std::uint64_t token);
  Result<void> link(const Writer& writer) VMM_REQUIRES(mutex_);
  Result<void> end_write(std::uint64_t token) VMM_REQUIRES(mutex_);

  // qcow2_clear.cc
  Result<void> clear(std::uint64_t first, std::uint64_t end, Clear how);
  Result<std::uint64_t> clear_some(std::uint64_t first, std::uint64_t end, Clear how)
      VMM_REQUIRES(mutex_);
  [[nodiscard]] std::optional<std::uint64_t> cleared(const Cluster& cluster, std::uint64_t entry,
                                                     std::uint64_t index, Clear how) const;
  [[nodiscard]] bool can_clear(const Cluster& cluster, std::uint64_t index, Clear how) const;
  Result<void> zero_part(ByteRange range);
  Result<void> zero_extents(ByteRange range);
  Result<void> shrink(std::uint64_t bytes);
  Result<void> grow(std::uint64_t bytes);
  Result<void> make_room(std::uint64_t bytes) VMM_REQUIRES(mutex_);
  Result<void> write_sizes(std::uint64_t bytes) VMM_REQUIRES(mutex_);

  // qcow2_flush.cc
  Result<void> open_for_writing();
  Result<void> collect_metadata() VMM_REQUIRES(mutex_);
  Result<void> collect_snapshots() VMM_REQUIRES(mutex_);
  Result<void> repair() VMM_REQUIRES(mutex_);
  Result<void> write_header_word(std::size_t offset, std::uint64_t word);
  Result<void> own_l2_table(std::uint64_t cluster) VMM_REQUIRES(mutex_);
  Result<std::uint64_t> new_l2_table(std::uint64_t copy_of) VMM_REQUIRES(mutex_);
  Result<void> check_place(std::uint64_t host, std::uint64_t bytes) VMM_REQUIRES(mutex_);
  void give_up(const Cluster& cluster) VMM_REQUIRES(mutex_);
  void give_up_table(std::uint64_t host) VMM_REQUIRES(mutex_);
  Result<void> release_given_up() VMM_REQUIRES(mutex_);
  Result<void> release_given_up(const GivenUp& given) VMM_REQUIRES(mutex_);
  Result<void> release(std::uint64_t first, std::uint64_t count) VMM_REQUIRES(mutex_);
  Result<void> flush() VMM_REQUIRES(mutex_);
  Result<void> flush_if_crowded() VMM_REQUIRES(mutex_);
  void mark_broken(const char* what) VMM_REQUIRES(mutex_);

  ImageFile file_;
  const ImageOptions options_;
  const std::unique_ptr<Image> backing_;  // read-only
  PackedClusters packed_;

  Mutex mutex_;
  std::condition_variable_any filled_;
  Header header_;  // what never changes is read without the mutex
  std::atomic<std::uint64_t> disk_bytes_;
  Epochs epochs_;
  WordTable l1_ VMM_GUARDED_BY(mutex_);
  SliceCache l2_ VMM_GUARDED_BY(mutex_);
  // For images that can be written.
  MetadataMap metadata_ VMM_GUARDED_BY(mutex_);
  std::optional<Refcounts> refcounts_ VMM_GUARDED_BY(mutex_);
  PendingWrites pending_ VMM_GUARDED_BY(mutex_);
  std::vector<GivenUp> given_up_ VMM_GUARDED_BY(mutex_);
  std::uint64_t given_up_clusters_ VMM_GUARDED_BY(mutex_) = 0;
  bool given_up_for_good_ VMM_GUARDED_BY(mutex_) = true;  // the disk knows, too
  bool broken_ VMM_GUARDED_BY(mutex_) = false;            // nothing is written any more
  bool is_open_ VMM_GUARDED_BY(mutex_) = false;           // for writing, and to be closed
};

}  // namespace vmm::block::qcow2
