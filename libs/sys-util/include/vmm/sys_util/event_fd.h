// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// A counter in the kernel that wakes pollers; see eventfd(2). Non-blocking and close-on-exec.
///
/// Another process that has the descriptor, too, may make it blocking again, as O_NONBLOCK belongs
/// to the open file. take() never waits all the same. add() would once the counter is full, which a
/// peer can see to: use signal_shared() for what a peer has.
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
  /// Reads the counter and sets it to zero, without waiting, whatever the descriptor's flags are.
  /// Errors: EAGAIN when it is zero already.
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

/// Adds one to an eventfd that another process has as well, if there is room; what waits on it has
/// something to see either way. Whether it was added.
///
/// The kernel has no write to an eventfd that never waits whatever its flags are, so this looks for
/// room first: a peer that cleared O_NONBLOCK and fills the counter between the look and the write
/// makes it wait until somebody reads, or a signal comes. No other peer does.
bool signal_shared(int fd);

}  // namespace vmm::sys_util
