// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// Anonymous memory behind a descriptor; see memfd_create(2). Close-on-exec.
///
/// Its size is fixed for ever: it is sealed against shrinking and growing, because whoever can
/// truncate a mapped file turns every access to it into SIGBUS.
class MemFd {
 public:
  /// What create() may be told.
  struct Options {
    const char* name = "vmm";         ///< appears in /proc/self/maps; at most 249 bytes
    std::uint64_t hugepage_size = 0;  ///< 0 for normal pages, else a power of two from 64 KiB
  };

  /// Errors: EINVAL for a size of 0 or a page size that is no power of two; ENODEV or ENOENT for
  /// huge page sizes that the kernel lacks; EFBIG for sizes above 2^63 - 1.
  static Result<MemFd> create(std::uint64_t bytes, const Options& options);
  /// With normal pages.
  static Result<MemFd> create(std::uint64_t bytes) { return create(bytes, Options{}); }

  /// Forbids further changes of the seals. Errors: the errno of fcntl(2).
  Result<void> freeze_seals() const;
  /// Forbids new writable mappings and write(2), except through mappings that exist already.
  Result<void> seal_future_writes() const;

  /// The descriptor, borrowed.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Bytes.
  [[nodiscard]] std::uint64_t size() const { return size_; }
  /// Gives the descriptor to the caller; the seals stay.
  [[nodiscard]] UniqueFd release() && { return std::move(fd_); }

 private:
  MemFd(UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}

  UniqueFd fd_;
  std::uint64_t size_;
};

}  // namespace vmm::sys_util
