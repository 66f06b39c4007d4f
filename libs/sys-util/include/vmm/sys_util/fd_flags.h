// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// Calls on `fd` fail with EAGAIN where they would wait. That is so for all who have the same open
/// file, which others have of an inherited descriptor: see NonBlocking. `what` is for the error.
/// Errors: those of fcntl(2).
Result<void> set_nonblocking(int fd, const char* what = "set O_NONBLOCK");

/// Another descriptor of the same open file, closed by execve(2). `what` is for the error.
/// Errors: those of fcntl(2).
Result<UniqueFd> duplicate(int fd, const char* what = "duplicate a descriptor");

/// A descriptor of others that does not block as long as this object lives, such as a shell's
/// terminal: programs that come later would take EAGAIN for its end.
class NonBlocking {
 public:
  NonBlocking() = default;
  /// `fd` is borrowed, and outlives the object. Errors: those of fcntl(2).
  static Result<NonBlocking> create(int fd, const char* what = "set O_NONBLOCK");
  /// The other one gives nothing back any more.
  NonBlocking(NonBlocking&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  /// Takes over; the other one gives back at its end what this one would have.
  NonBlocking& operator=(NonBlocking&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~NonBlocking();

 private:
  explicit NonBlocking(int fd) : fd_(fd) {}

  int fd_ = -1;  // to block again; -1: did not block before
};

}  // namespace vmm::sys_util
