// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <atomic>
#include <cerrno>
#include <memory>
#include <utility>

#include "fixed_part.h"
#include "vmm/base/mutex.h"
#include "vmm/block/open_image.h"

namespace vmm::block {
namespace {

constexpr std::uint64_t kSector = 512;

/// What of the file is the disk, from its first byte on.
enum class Part : std::uint8_t { kAll, kFixed };

class RawImage final : public Image {
 public:
  RawImage(ImageFile file, const ImageOptions& options, std::uint64_t bytes, Part part)
      : file_(std::move(file)), options_(options), part_(part), bytes_(bytes) {}

  [[nodiscard]] std::uint64_t size_bytes() const override {
    return bytes_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] const ImageFile& file() const override { return file_; }

  Result<ReadPlan> map(ByteRange range, std::span<Extent> out) override {
    if (!holds(range)) return fail(Error::os(ERANGE, "read beyond the end of the disk"));
    out.front() = {.fd = file_.fd(), .file_offset = range.offset, .bytes = range.bytes};
    return ReadPlan{.count = 1};
  }
  Result<void> read_slow(std::uint64_t /*offset*/, std::span<std::byte> /*to*/) override {
    return fail(Error::os(EIO, "a raw image has no such extents"));
  }

  Result<WritePlan> prepare_write(ByteRange range, std::span<Extent> out) override {
    VMM_TRY_DO(check_write(range));
    out.front() = {.fd = file_.fd(), .file_offset = range.offset, .bytes = range.bytes};
    return WritePlan{.count = 1, .bytes = range.bytes};
  }
  Result<std::optional<RangeWork>> discard(ByteRange range) override {
    VMM_TRY_DO(check_write(range));
    if (!options_.sparse) return std::optional<RangeWork>();
    return std::optional(RangeWork{.range = range, .deallocate = true});
  }
  Result<std::optional<RangeWork>> write_zeroes(ByteRange range, bool may_unmap) override {
    VMM_TRY_DO(check_write(range));
    return std::optional(RangeWork{.range = range, .deallocate = may_unmap && options_.sparse});
  }

  Result<void> flush_metadata() override { return {}; }
  Result<void> resize(std::uint64_t bytes) override {
    if (bytes % kSector != 0) return fail(Error::os(EINVAL, "a disk consists of whole sectors"));
    if (!file_.writable()) return fail(Error::os(EROFS, "change the size of a read-only disk"));
    if (part_ == Part::kFixed) {
      return fail(Error::os(ENOTSUP, "change the size of a disk whose format has a fixed one"));
    }
    if (file_.is_block_device()) {
      // Somebody else made it longer or shorter; the disk can follow.
      VMM_TRY(const std::uint64_t now, file_.size_bytes());
      if (bytes > now) return fail(Error::os(ENOTSUP, "make a disk longer than its device"));
    } else {
      return set_size(bytes);
    }
    bytes_.store(bytes, std::memory_order_relaxed);
    return {};
  }
  // Of a disk that was never made shorter the file may end with a part of a sector.
  void trim() override {
    const MutexLock lock(mutex_);
    if (shortened_) (void)file_.set_size(size_bytes());
  }
  [[nodiscard]] bool guards_first_sector() const override { return options_.guard_first_sector; }

 private:
  // What is beyond the new end is refused from then on that the file gets shorter.
  Result<void> set_size(std::uint64_t bytes) {
    const MutexLock lock(mutex_);
    const std::uint64_t old = size_bytes();
    if (bytes < old) bytes_.store(bytes, std::memory_order_relaxed);
    if (const auto done = file_.set_size(bytes); !done) {
      bytes_.store(old, std::memory_order_relaxed);
      return done;
    }
    bytes_.store(bytes, std::memory_order_relaxed);
    shortened_ = shortened_ || bytes < old;
    return {};
  }
  [[nodiscard]] bool holds(const ByteRange& range) const {
    const std::uint64_t size = size_bytes();
    return range.bytes != 0 && range.offset <= size && range.bytes <= size - range.offset;
  }
  [[nodiscard]] Result<void> check_write(const ByteRange& range) const {
    if (!file_.writable()) return fail(Error::os(EROFS, "write to a read-only disk"));
    if (!holds(range)) return fail(Error::os(ERANGE, "write beyond the end of the disk"));
    return {};
  }

  ImageFile file_;
  ImageOptions options_;
  Part part_;
  std::atomic<std::uint64_t> bytes_;
  Mutex mutex_;  // for who changes the size
  bool shortened_ VMM_GUARDED_BY(mutex_) = false;
};

}  // namespace

Result<std::unique_ptr<Image>> open_raw(ImageFile file, const ImageOptions& options) {
  VMM_TRY(const std::uint64_t bytes, file.size_bytes());
  return std::unique_ptr<Image>(
      std::make_unique<RawImage>(std::move(file), options, bytes / kSector * kSector, Part::kAll));
}

std::unique_ptr<Image> open_fixed_part(ImageFile file, const ImageOptions& options,
                                       std::uint64_t bytes) {
  return std::make_unique<RawImage>(std::move(file), options, bytes, Part::kFixed);
}

}  // namespace vmm::block
