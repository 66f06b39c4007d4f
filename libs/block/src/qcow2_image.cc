// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Opening, and reading.

#include "qcow2_image.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "extents.h"
#include "file_parts.h"
#include "vmm/base/log.h"

namespace vmm::block::qcow2 {

Result<void> read_disk(Image& image, std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    std::array<Extent, 4> extents;
    VMM_TRY(const ReadPlan plan, image.map({.offset = offset, .bytes = to.size()}, extents));
    Result<void> done;
    for (std::size_t i = 0; i < plan.count && done; ++i) {
      const Extent& extent = extents[i];
      const std::span<std::byte> part = to.first(static_cast<std::size_t>(extent.bytes));
      if (extent.kind == Extent::Kind::kZero) {
        std::fill(part.begin(), part.end(), std::byte{0});
      } else if (extent.kind == Extent::Kind::kSlow) {
        done = image.read_slow(offset, part);
      } else {
        // Metadata's descriptor: this is read once, and without alignment.
        done = read_or_zeros(image.file().buffered_fd(), part, extent.file_offset);
      }
      offset += part.size();
      to = to.subspan(part.size());
    }
    if (plan.token != 0) image.end_read(plan.token);
    if (!done) return done;
  }
  return {};
}

Qcow2Image::Qcow2Image(ImageFile file, const Header& header, std::unique_ptr<Image> backing,
                       const ImageOptions& options)
    : file_(std::move(file)),
      options_(options),
      backing_(std::move(backing)),
      packed_(file_.buffered_fd(), header),
      header_(header),
      disk_bytes_(header.disk_bytes),
      l2_(file_.buffered_fd(), header.slice_bytes(), options.cache_bytes / header.slice_bytes()),
      pending_(Epochs::kTokens) {}

Result<std::unique_ptr<Image>> Qcow2Image::open(ImageFile file, const Header& header,
                                                std::unique_ptr<Image> backing,
                                                const ImageOptions& options) {
  if (file.alignment() > header.cluster_bytes()) {
    return fail(Error::os(EINVAL, "open the qcow2 image: direct I/O with clusters that small"));
  }
  if (!file.writable() && (header.incompatible & kCorrupt) != 0) {
    VMM_LOG(kWarn, "a qcow2 image is marked corrupt; it is only read");
  }
  VMM_TRY(auto l1, WordTable::load(file.buffered_fd(), header.l1_offset, header.l1_entries));
  std::unique_ptr<Qcow2Image> image(
      new Qcow2Image(std::move(file), header, std::move(backing), options));
  {
    const MutexLock lock(image->mutex_);
    image->l1_ = std::move(l1);
  }
  if (image->file_.writable()) {
    VMM_TRY_DO(image->open_for_writing());
  }
  return std::unique_ptr<Image>(std::move(image));
}

bool Qcow2Image::holds(const ByteRange& range) const {
  const std::uint64_t size = size_bytes();
  return range.bytes != 0 && range.offset <= size && range.bytes <= size - range.offset;
}

Result<Qcow2Image::Entries> Qcow2Image::entries_from(std::uint64_t cluster) {
  const std::uint64_t in_table = cluster % header_.l2_entries();
  const std::uint64_t per_slice = l2_.slice_bytes() / kWord;
  const auto l1_index = static_cast<std::size_t>(cluster / header_.l2_entries());
  if (l1_index >= l1_.size()) return fail(Error::os(EIO, "the L1 table of the qcow2 image"));
  const std::uint64_t table = l1_[l1_index] & ~kEntryCopied;
  if (table == 0) return Entries{.count = header_.l2_entries() - in_table};
  if ((table & ~kEntryOffset) != 0 || inside(table) != 0) {
    return fail(Error::os(EIO, "the L1 table of the qcow2 image"));
  }
  const std::uint64_t in_slice = in_table % per_slice;
  VMM_TRY(std::byte* const words, l2_.get(table + (in_table - in_slice) * kWord));
  return Entries{.words = words + in_slice * kWord, .count = per_slice - in_slice};
}

/// What no L2 entry knows.
Result<std::size_t> Qcow2Image::map_absent(ByteRange range, std::span<Extent> out) {
  const std::uint64_t known = backing_ == nullptr ? 0 : backing_->size_bytes();
  if (range.offset >= known) {
    out.front() = {.kind = Extent::Kind::kZero, .bytes = range.bytes};
    return std::size_t{1};
  }
  range.bytes = std::min(range.bytes, known - range.offset);
  // Read-only, and so without a token.
  VMM_TRY(const ReadPlan plan, backing_->map(range, out));
  return plan.count;
}

Result<std::size_t> Qcow2Image::map_part(ByteRange range, std::uint64_t entry,
                                         std::span<Extent> out) {
  VMM_TRY(const Cluster cluster, decode_cluster(header_, entry));
  switch (cluster.kind) {
    case Cluster::Kind::kNone:
      return map_absent(range, out);
    case Cluster::Kind::kZero:
      out.front() = {.kind = Extent::Kind::kZero, .bytes = range.bytes};
      break;
    case Cluster::Kind::kData:
      out.front() = {.zeros_past_end = true,
                     .fd = file_.fd(),
                     .file_offset = cluster.host + inside(range.offset),
                     .bytes = range.bytes};
      break;
    case Cluster::Kind::kPacked:
      out.front() = {.kind = Extent::Kind::kSlow, .bytes = range.bytes};
      break;
  }
  return std::size_t{1};
}

Result<std::size_t> Qcow2Image::map_all(ByteRange range, std::span<Extent> out) {
  std::size_t count = 0;
  while (range.bytes != 0) {
    auto looked_up = entries_from(cluster_of(range.offset));
    if (!looked_up && count != 0) return count;  // the error comes when this is asked for first
    VMM_TRY(const Entries entries, std::move(looked_up));
    for (std::uint64_t i = 0; i < entries.count && range.bytes != 0;) {
      // Without a table, all its clusters at once.
      const std::uint64_t clusters = entries.words == nullptr ? entries.count : 1;
      const std::uint64_t bytes =
          std::min(range.bytes, (clusters << header_.cluster_bits) - inside(range.offset));
      std::array<Extent, 4> found;
      auto mapped = map_part({.offset = range.offset, .bytes = bytes}, entries[i], found);
      if (!mapped && count != 0) return count;
      VMM_TRY(const std::size_t parts, std::move(mapped));
      std::uint64_t told = 0;
      for (std::size_t part = 0; part < parts; ++part) {
        if (!append_extent(out, count, found[part])) return count;
        told += found[part].bytes;
      }
      range.offset += told;
      range.bytes -= told;
      // The backing file may tell less than a cluster.
      if (inside(range.offset) == 0) i += clusters;
      if (entries.words == nullptr && told != bytes) break;
    }
  }
  return count;
}

Result<ReadPlan> Qcow2Image::map(ByteRange range, std::span<Extent> out) {
  if (!holds(range)) return fail(Error::os(ERANGE, "read beyond the end of the disk"));
  const MutexLock lock(mutex_);
  VMM_TRY(const std::size_t count, map_all(range, out));
  return ReadPlan{.count = count, .token = file_.writable() ? epochs_.begin() : 0};
}

// Since it was mapped as one, a write of another queue may have given a part of it a table.
Result<void> Qcow2Image::read_slow(std::uint64_t offset, std::span<std::byte> to) {
  while (!to.empty()) {
    Cluster cluster;
    std::uint64_t clusters = 1;
    {
      const MutexLock lock(mutex_);
      VMM_TRY(const Entries entries, entries_from(cluster_of(offset)));
      VMM_TRY(cluster, decode_cluster(header_, entries[0]));
      if (entries.words == nullptr) clusters = entries.count;
    }
    const std::uint64_t most = (clusters << header_.cluster_bits) - inside(offset);
    const auto bytes = static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), most));
    VMM_TRY_DO(read_cluster(cluster, offset, to.first(bytes)));
    offset += bytes;
    to = to.subspan(bytes);
  }
  return {};
}

Result<void> Qcow2Image::read_cluster(const Cluster& cluster, std::uint64_t offset,
                                      std::span<std::byte> to) {
  // Only what the backing file has may reach beyond a cluster.
  const bool absent = cluster.kind == Cluster::Kind::kNone;
  if (!absent && inside(offset) + to.size() > header_.cluster_bytes()) {
    return fail(Error::os(EIO, "read a part of two clusters"));
  }
  switch (cluster.kind) {
    case Cluster::Kind::kPacked:
      return packed_.read(cluster, inside(offset), to);
    case Cluster::Kind::kData:
      return read_or_zeros(file_.buffered_fd(), to, cluster.host + inside(offset));
    case Cluster::Kind::kZero:
    case Cluster::Kind::kNone:
      break;
  }
  const std::uint64_t known = absent && backing_ != nullptr ? backing_->size_bytes() : 0;
  const auto old =
      static_cast<std::size_t>(std::min<std::uint64_t>(to.size(), known - std::min(known, offset)));
  std::fill(to.begin() + static_cast<std::ptrdiff_t>(old), to.end(), std::byte{0});
  return old == 0 ? Result<void>() : read_disk(*backing_, offset, to.first(old));
}

bool Qcow2Image::is_zero(const Cluster& cluster, std::uint64_t offset) const {
  if (cluster.kind == Cluster::Kind::kZero) return true;
  return cluster.kind == Cluster::Kind::kNone &&
         (backing_ == nullptr || offset >= backing_->size_bytes());
}

}  // namespace vmm::block::qcow2
