// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::block {

/// What part of a file is locked against other programs; see ImageFile::lock().
enum class LockKind : std::uint8_t {
  kByteRange,  ///< the bytes that the file has
  kFull,       ///< all that it may ever have
  /// Single bytes that stand for reading and writing, and for what others may not do, as QEMU has
  /// them. Programs that lock the bytes they use (backups, file servers) are not in the way.
  kQemu,
};

/// Sizes that a disk tells its guest, in bytes, powers of two.
struct BlockSizes {
  std::uint32_t logical = 512;   ///< the least that can be written
  std::uint32_t physical = 512;  ///< the least that is written without reading before
  std::uint32_t optimal = 0;     ///< 0: not known
};

/// An open file or block device that holds an image.
///
/// Threads: const functions from any thread.
class ImageFile {
 public:
  /// How to open a file.
  struct Options {
    bool writable = true;  ///< false: O_RDONLY
    bool direct = false;   ///< past the page cache: O_DIRECT
  };

  /// Errors: those of open(2); EINVAL for what is neither a regular file nor a block device, and
  /// for `direct` on a file system that cannot.
  static Result<ImageFile> open(const std::string& path, const Options& options);
  /// The same for a file that somebody else opened. Its own access mode must allow what `options`
  /// ask for: EACCES.
  static Result<ImageFile> adopt(UniqueFd fd, const Options& options);
  /// The other one may only be destroyed afterwards.
  ImageFile(ImageFile&&) noexcept = default;
  ImageFile& operator=(ImageFile&&) = delete;
  /// Gives the lock back at once, also while something else (an io_uring that is being taken apart)
  /// still has the file open.
  ~ImageFile();

  /// For the data: O_DIRECT if that was asked for or adopted; offsets, lengths and addresses are
  /// multiples of alignment() then.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// For metadata: through the page cache, without alignment. The same as fd() when not direct.
  [[nodiscard]] int buffered_fd() const { return buffered_ ? buffered_.get() : fd_.get(); }
  /// As Options::writable.
  [[nodiscard]] bool writable() const { return writable_; }
  /// Whether fd() is O_DIRECT.
  [[nodiscard]] bool is_direct() const { return alignment_ != 1; }
  /// Whether it is a block device, and else a regular file.
  [[nodiscard]] bool is_block_device() const { return block_device_; }
  /// Of transfers through fd(), in bytes; 1 when not direct.
  [[nodiscard]] std::uint32_t alignment() const { return alignment_; }
  /// What the device or the file system says, 512 bytes where it says nothing; logical and physical
  /// ones are at least alignment().
  [[nodiscard]] const BlockSizes& block_sizes() const { return block_sizes_; }

  /// How long the file is, or the device. Errors: those of fstat(2) and ioctl(2).
  [[nodiscard]] Result<std::uint64_t> size_bytes() const;
  /// Makes the file longer or shorter. Errors: ENOTSUP for a block device; those of ftruncate(2).
  Result<void> set_size(std::uint64_t bytes) const;

  /// fdatasync(2). Errors: its; EIO after sync_failed().
  Result<void> sync_data() const;
  /// The kernel tells once that it could not write something, and forgets what it was: after that
  /// no sync can promise anything.
  [[nodiscard]] bool sync_failed() const { return sync_failed_->load(std::memory_order_relaxed); }
  /// For those who call fdatasync(2) of fd() themselves.
  void note_failed_sync() const { sync_failed_->store(true, std::memory_order_relaxed); }

  /// Locks against other programs that lock: for writing when writable(), else for reading. Held
  /// until this object is gone; again for a new size. Errors: EAGAIN when somebody else has it.
  Result<void> lock(LockKind kind);

 private:
  ImageFile() = default;
  Result<void> lock_as_qemu();
  Result<void> look_at(const Options& options);

  UniqueFd fd_;
  UniqueFd buffered_;  // empty: fd_ serves for both
  bool writable_ = false;
  bool block_device_ = false;
  bool locked_ = false;
  std::uint32_t alignment_ = 1;
  BlockSizes block_sizes_;
  std::unique_ptr<std::atomic<bool>> sync_failed_ = std::make_unique<std::atomic<bool>>(false);
};

}  // namespace vmm::block
