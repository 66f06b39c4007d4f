// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// A counter in the kernel that wakes pollers; see eventfd(2). Non-blocking and close-on-exec.
///
/// Thread-safety: add() and take() may be called from any thread.
class EventFd {
 public:
  /// Errors: the errno of eventfd(2).
  static Result<EventFd> create(std::uint32_t initial = 0);
  /// Takes over a descriptor that is known to be an eventfd.
  static EventFd adopt(UniqueFd fd) { return EventFd(std::move(fd)); }

  /// Adds to the counter. Errors: EAGAIN when it would pass 2^64 - 2; EINVAL for 2^64 - 1.
  Result<void> add(std::uint64_t value = 1) const;
  /// Reads the counter and sets it to zero. Errors: EAGAIN when it is zero already.
  Result<std::uint64_t> take() const;
  /// A second descriptor for the same counter.
  Result<EventFd> duplicate() const;

  /// The descriptor, borrowed; readable while the counter is not 0.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Gives the descriptor to the caller.
  [[nodiscard]] UniqueFd release() && { return std::move(fd_); }

 private:
  explicit EventFd(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::sys_util
