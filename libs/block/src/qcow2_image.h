// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "epochs.h"
#include "packed_clusters.h"
#include "qcow2_format.h"
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

  Result<ReadPlan> map(ByteRange range, std::span<Extent> out) override;
  void end_read(std::uint64_t token) override { epochs_.end(token); }
  Result<void> read_slow(std::uint64_t offset, std::span<std::byte> to) override;

  Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) override;
  Result<std::optional<RangeWork>> discard(ByteRange range) override;
  Result<std::optional<RangeWork>> write_zeroes(ByteRange range, bool may_unmap) override;
  Result<void> flush_metadata() override;
  Result<void> resize(std::uint64_t bytes) override;

 private:
  /// The L2 entries from one cluster on that are next to each other.
  struct Entries {
    const std::byte* words = nullptr;  // nullptr: there is no L2 table
    std::uint64_t count = 0;
    [[nodiscard]] std::uint64_t operator[](std::uint64_t i) const {
      return words == nullptr ? 0 : load_be<std::uint64_t>(words + i * kWord);
    }
  };

  Qcow2Image(ImageFile file, const Header& header, std::unique_ptr<Image> backing,
             const ImageOptions& options);

  [[nodiscard]] bool holds(const ByteRange& range) const;
  [[nodiscard]] std::uint64_t cluster_of(std::uint64_t offset) const {
    return offset >> header_.cluster_bits;
  }
  [[nodiscard]] std::uint64_t inside(std::uint64_t offset) const {
    return offset & (header_.cluster_bytes() - 1);
  }
  Result<Entries> entries_from(std::uint64_t cluster) VMM_REQUIRES(mutex_);

  /// Where the start of `range`, which lies in one cluster or one run without an L2 table, is.
  Result<std::size_t> map_part(ByteRange range, std::uint64_t entry, std::span<Extent> out);
  Result<std::size_t> map_absent(ByteRange range, std::span<Extent> out);
  Result<std::size_t> map_all(ByteRange range, std::span<Extent> out) VMM_REQUIRES(mutex_);

  ImageFile file_;
  const ImageOptions options_;
  const std::unique_ptr<Image> backing_;  // read-only
  PackedClusters packed_;

  Mutex mutex_;
  Header header_;  // what never changes is read without the mutex
  std::atomic<std::uint64_t> disk_bytes_;
  Epochs epochs_;
  WordTable l1_ VMM_GUARDED_BY(mutex_);
  SliceCache l2_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::block::qcow2
