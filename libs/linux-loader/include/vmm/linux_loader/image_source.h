// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/checked.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/linux_loader/load_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::linux_loader {

/// Where a kernel, an initrd or a device tree comes from: bytes in memory, or an open file.
///
/// A file goes straight from the page cache into guest pages. Its size is taken once; should it
/// shrink meanwhile, reads report kTruncated. Borrows the bytes or the descriptor; copies are
/// cheap; safe to use from several threads (the file position is neither used nor moved).
class ImageSource {
 public:
  /// `bytes` must stay as they are while the source is used.
  static ImageSource from_bytes(std::span<const std::byte> bytes);
  /// Errors: kNotAFile for anything but a regular file (so that a pipe or a device cannot block
  /// us or change below us), the errno of fstat(2).
  static Result<ImageSource> from_fd(int fd);

  /// Bytes.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// The part [offset, offset + bytes). Errors: kTruncated when it passes the end.
  [[nodiscard]] Result<ImageSource> part(std::uint64_t offset, std::uint64_t bytes) const;

  /// The scratch.size() bytes at `offset`: the source's own, or read into `scratch`.
  /// Errors: kTruncated, the errno of pread(2).
  [[nodiscard]] Result<std::span<const std::byte>> peek(std::uint64_t offset,
                                                        std::span<std::byte> scratch) const {
    if (!fits<std::uint64_t>(offset, scratch.size(), size_)) return fail(LoadError::kTruncated);
    if (fd_ < 0) return std::span(data_ + offset, scratch.size());
    VMM_TRY_DO(read_file(offset, scratch));
    return std::span<const std::byte>(scratch);
  }
  /// Puts the `bytes` bytes at `offset` into guest memory at `at`.
  /// Errors: kTruncated, kOutsideRam (both before anything is written), the errno of pread(2).
  [[nodiscard, gnu::always_inline]] inline Result<void> load(std::uint64_t offset,
                                                             std::uint64_t bytes,
                                                             vm_memory::MemoryView memory,
                                                             GuestAddress at) const {
    if (!fits(offset, bytes, size_)) return fail(LoadError::kTruncated);
    if (fd_ >= 0) return load_file(offset, bytes, memory, at);
    if (!memory.write_bytes(at, {data_ + offset, bytes})) return fail(LoadError::kOutsideRam);
    return {};
  }

 private:
  ImageSource(const std::byte* data, int fd, std::uint64_t size)
      : data_(data), size_(size), fd_(fd) {}
  [[nodiscard]] Result<void> read_file(std::uint64_t offset, std::span<std::byte> to) const;
  [[nodiscard]] Result<void> load_file(std::uint64_t offset, std::uint64_t bytes,
                                       vm_memory::MemoryView memory, GuestAddress at) const;

  const std::byte* data_;    // null for a file
  std::uint64_t start_ = 0;  // in the file
  std::uint64_t size_;
  int fd_;
};

/// A file that is open as long as its source is used.
struct OpenedImage {
  UniqueFd fd;         ///< what `source` borrows
  ImageSource source;  ///< of the whole file
};
/// Opens it without waiting for anybody, as a FIFO would have it. Errors: those of open(2) and
/// ImageSource::from_fd().
Result<OpenedImage> open_image(const std::string& path);

}  // namespace vmm::linux_loader
