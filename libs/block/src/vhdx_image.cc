// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// VHDX images, whose blocks are where a table says. The table is in memory as a whole; a block that
// it gets reaches the file with a flush, behind the block itself. So at any time the file is good:
// an entry is written in one piece, and says nothing that is not there.

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "file_parts.h"
#include "vhdx_format.h"
#include "vmm/base/checked.h"
#include "vmm/base/mutex.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/file_space.h"
#include "vmm/sys_util/random.h"

namespace vmm::block {
namespace vhdx {
namespace {

constexpr std::size_t kPageEntries = 512;  // of the table, that are written together

/// What the headers say once somebody writes. Made when the image is opened: who serves a disk may
/// not be permitted to ask for random bytes.
struct Session {
  Guid file_write{};
  Guid data_write{};
};

/// What a flush writes: some pages of the table as they were at one moment.
struct Pages {
  std::vector<std::size_t> indices;
  std::vector<Le64> entries;  // kPageEntries of each
};

class VhdxImage final : public Image {
 public:
  VhdxImage(ImageFile file, const Layout& layout, const Session& session,
            std::vector<std::uint64_t> table, std::uint64_t end)
      : file_(std::move(file)),
        disk_bytes_(layout.disk_bytes),
        table_at_(layout.table.offset),
        table_entries_(table.size()),
        session_(session),
        layout_(layout),
        table_(std::move(table)),
        dirty_((table_.size() + kPageEntries - 1) / kPageEntries),
        end_(end) {}
  ~VhdxImage() override {
    // Nobody is there any more to be told of an error; the file is as good as after a crash.
    if (VhdxImage::flush_metadata()) (void)file_.sync_data();
  }

  [[nodiscard]] std::uint64_t size_bytes() const override { return disk_bytes_; }
  [[nodiscard]] const ImageFile& file() const override { return file_; }

  Result<ReadPlan> map(ByteRange range, std::span<Extent> out) override;
  Result<void> read_slow(std::uint64_t /*offset*/, std::span<std::byte> /*to*/) override {
    return fail(Error::os(EIO, "a VHDX image has no such extents"));
  }
  Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) override;
  // A block that the disk has, it keeps.
  Result<std::optional<RangeWork>> discard(ByteRange range) override {
    VMM_TRY_DO(check_write(range));
    return std::optional<RangeWork>();
  }
  Result<std::optional<RangeWork>> write_zeroes(ByteRange range, bool may_unmap) override;
  Result<void> flush_metadata() override;
  Result<void> resize(std::uint64_t /*bytes*/) override {
    if (!file_.writable()) return fail(Error::os(EROFS, "change the size of a read-only disk"));
    return fail(Error::os(ENOTSUP, "change the size of a VHDX disk"));
  }

 private:
  [[nodiscard]] Result<void> check(const ByteRange& range) const {
    if (range.bytes == 0 || !fits(range.offset, range.bytes, disk_bytes_)) {
      return fail(Error::os(ERANGE, "an access beyond the end of the disk"));
    }
    return {};
  }
  [[nodiscard]] Result<void> check_write(const ByteRange& range) const {
    if (!file_.writable()) return fail(Error::os(EROFS, "write to a read-only disk"));
    return check(range);
  }
  [[nodiscard]] Result<Extent> extent_of(const ByteRange& range) VMM_REQUIRES(mutex_);
  [[nodiscard]] Result<void> begin_writing() VMM_REQUIRES(mutex_);
  [[nodiscard]] Result<void> allocate(std::uint64_t block) VMM_REQUIRES(mutex_);
  [[nodiscard]] Pages take_dirty() VMM_REQUIRES(mutex_);
  [[nodiscard]] Result<void> write_pages(const Pages& pages) const;

  ImageFile file_;
  const std::uint64_t disk_bytes_;
  const std::uint64_t table_at_;  // in the file
  const std::size_t table_entries_;
  const Session session_;
  Mutex flush_mutex_;  // before mutex_: one flush at a time
  Mutex mutex_;
  Layout layout_ VMM_GUARDED_BY(mutex_);
  std::vector<std::uint64_t> table_ VMM_GUARDED_BY(mutex_);
  std::vector<bool> dirty_ VMM_GUARDED_BY(mutex_);  // by page of the table
  std::uint64_t end_ VMM_GUARDED_BY(mutex_);        // where the next block goes
  bool announced_ VMM_GUARDED_BY(mutex_) = false;   // others can see that somebody writes
};

/// Of the front of a range, as far as its block goes.
Result<Extent> VhdxImage::extent_of(const ByteRange& range) {
  const std::uint64_t entry = table_[layout_.entry_of(range.offset / layout_.block_bytes)];
  const std::uint64_t inside = range.offset % layout_.block_bytes;
  const std::uint64_t bytes = std::min(range.bytes, layout_.block_bytes - inside);
  switch (entry & Entry::kState) {
    case Entry::kNotPresent:
    case Entry::kUndefined:
    case Entry::kZero:
    case Entry::kUnmapped:
      return Extent{.kind = Extent::Kind::kZero, .bytes = bytes};
    case Entry::kPresent:
      break;
    default:
      return fail(Error::os(EIO, "a block of the VHDX image is in no state that it may be in"));
  }
  const ByteRange block{.offset = entry & Entry::kPlace, .bytes = layout_.block_bytes};
  // Behind the end are the blocks of a file that was cut off: nobody knows what was in them.
  if (block.offset >= end_ || !layout_.is_data(block)) {
    return fail(Error::os(EIO, "a block of the VHDX image is no data"));
  }
  return Extent{.kind = Extent::Kind::kData,
                .zeros_past_end = true,
                .fd = file_.fd(),
                .file_offset = block.offset + inside,
                .bytes = bytes};
}

Result<ReadPlan> VhdxImage::map(ByteRange range, std::span<Extent> out) {
  VMM_TRY_DO(check(range));
  ReadPlan plan;
  const MutexLock lock(mutex_);
  while (range.bytes != 0 && plan.count < out.size()) {
    const Result<Extent> extent = extent_of(range);
    if (!extent && plan.count == 0) return fail(extent.error());
    if (!extent) break;
    out[plan.count++] = *extent;
    range = {.offset = range.offset + extent->bytes, .bytes = range.bytes - extent->bytes};
  }
  return plan;
}

Result<void> VhdxImage::begin_writing() {
  if (announced_) return {};
  layout_.header.file_write = session_.file_write;
  layout_.header.data_write = session_.data_write;
  VMM_TRY_DO(write_headers(file_, layout_));
  announced_ = true;
  return {};
}

Result<void> VhdxImage::allocate(std::uint64_t block) {
  const auto end = checked_add(end_, layout_.block_bytes);
  if (!end) return fail(Error::os(EFBIG, "the VHDX image cannot be any longer"));
  VMM_TRY_DO(file_.set_size(*end));  // with zeros, which is what the block has had until now
  const std::uint64_t entry = layout_.entry_of(block);
  table_[entry] = end_ | Entry::kPresent;
  dirty_[entry / kPageEntries] = true;
  end_ = *end;
  return {};
}

Result<WritePlan> VhdxImage::prepare_write(ByteRange range, std::span<Extent> out) {
  VMM_TRY_DO(check_write(range));
  WritePlan plan;
  const MutexLock lock(mutex_);
  VMM_TRY_DO(begin_writing());
  while (range.bytes != 0 && plan.count < out.size()) {
    Result<Extent> extent = extent_of(range);
    if (extent && extent->kind == Extent::Kind::kZero) {
      const Result<void> allocated = allocate(range.offset / layout_.block_bytes);
      if (allocated) {
        extent = extent_of(range);
      } else {
        extent = fail(allocated.error());
      }
    }
    if (!extent && plan.count == 0) return fail(extent.error());
    if (!extent) break;
    out[plan.count++] = *extent;
    plan.bytes += extent->bytes;
    range = {.offset = range.offset + extent->bytes, .bytes = range.bytes - extent->bytes};
  }
  return plan;
}

// What has no block is zeros already.
Result<std::optional<RangeWork>> VhdxImage::write_zeroes(ByteRange range, bool /*may_unmap*/) {
  VMM_TRY_DO(check_write(range));
  while (range.bytes != 0) {
    Extent extent;
    VMM_TRY_DO(map(range, {&extent, 1}));
    range = {.offset = range.offset + extent.bytes, .bytes = range.bytes - extent.bytes};
    if (extent.kind == Extent::Kind::kZero) continue;
    {
      const MutexLock lock(mutex_);
      VMM_TRY_DO(begin_writing());
    }
    VMM_TRY_DO(sys_util::write_zeroes(file_.buffered_fd(),
                                      {.offset = extent.file_offset, .length = extent.bytes}));
  }
  return std::optional<RangeWork>();
}

Pages VhdxImage::take_dirty() {
  Pages pages;
  for (std::size_t page = 0; page < dirty_.size(); ++page) {
    if (!dirty_[page]) continue;
    dirty_[page] = false;
    pages.indices.push_back(page);
    const std::size_t first = page * kPageEntries;
    for (std::size_t i = first; i < std::min(first + kPageEntries, table_.size()); ++i) {
      pages.entries.emplace_back(table_[i]);
    }
    pages.entries.resize(pages.indices.size() * kPageEntries);
  }
  return pages;
}

Result<void> VhdxImage::write_pages(const Pages& pages) const {
  VMM_TRY_DO(file_.sync_data());  // the blocks
  for (std::size_t i = 0; i < pages.indices.size(); ++i) {
    const std::size_t first = pages.indices[i] * kPageEntries;
    const std::size_t count = std::min(kPageEntries, table_entries_ - first);
    const auto entries = std::span(pages.entries).subspan(i * kPageEntries, count);
    VMM_TRY_DO(sys_util::pwrite_all(file_.buffered_fd(), std::as_bytes(entries),
                                    table_at_ + first * sizeof(Le64)));
  }
  return {};
}

Result<void> VhdxImage::flush_metadata() {
  const MutexLock flush(flush_mutex_);
  Pages pages;
  {
    const MutexLock lock(mutex_);
    pages = take_dirty();
  }
  if (pages.indices.empty()) return {};
  const Result<void> written = write_pages(pages);
  if (!written) {
    const MutexLock lock(mutex_);
    for (const std::size_t page : pages.indices) dirty_[page] = true;
  }
  return written;
}

/// Where the next block goes: behind all there is. Errors: EROFS when the image is to be written,
/// and a block of it is no data. Where it is only read, such blocks harm the requests for them.
Result<std::uint64_t> find_end(const ImageFile& file, const Layout& layout,
                               std::span<const std::uint64_t> table) {
  VMM_TRY(const std::uint64_t file_bytes, file.size_bytes());
  std::uint64_t end = std::max(file_bytes, kMiB);
  for (std::uint64_t block = 0; block < layout.blocks(); ++block) {
    const std::uint64_t entry = table[layout.entry_of(block)];
    const std::uint64_t state = entry & Entry::kState;
    if (state <= Entry::kUnmapped) continue;
    const ByteRange range{.offset = entry & Entry::kPlace, .bytes = layout.block_bytes};
    if (state == Entry::kPresent && range.offset < file_bytes && layout.is_data(range)) {
      end = std::max(end, range.offset + range.bytes);
    } else if (file.writable()) {
      return fail(Error::os(EROFS, "open the VHDX image for writing: a block of it is no data"));
    }
  }
  const auto aligned = align_up(end, kMiB);
  if (!aligned) return fail(Error::os(EFBIG, "open the VHDX image: it is too long"));
  return *aligned;
}

Result<Session> make_session(const ImageFile& file) {
  Session session;
  if (!file.writable()) return session;
  for (Guid* const guid : {&session.file_write, &session.data_write}) {
    VMM_TRY_DO(sys_util::fill_random(std::as_writable_bytes(std::span(*guid))));
  }
  return session;
}

}  // namespace
}  // namespace vhdx

Result<std::unique_ptr<Image>> open_vhdx(ImageFile file, const ImageOptions& /*options*/) {
  VMM_TRY(const vhdx::Layout layout, vhdx::read_layout(file));
  std::vector<Le64> stored(static_cast<std::size_t>(layout.entries()));
  VMM_TRY_DO(
      read_all(file.buffered_fd(), std::as_writable_bytes(std::span(stored)), layout.table.offset));
  std::vector<std::uint64_t> table(stored.size());
  std::ranges::transform(stored, table.begin(), [](Le64 entry) { return entry.get(); });
  VMM_TRY(const std::uint64_t end, vhdx::find_end(file, layout, table));
  VMM_TRY(const vhdx::Session session, vhdx::make_session(file));
  return std::unique_ptr<Image>(
      std::make_unique<vhdx::VhdxImage>(std::move(file), layout, session, std::move(table), end));
}

}  // namespace vmm::block
