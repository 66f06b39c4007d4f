// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <utility>

#include "vmm/base/detail/language.h"

namespace vmm {

namespace detail {
void close_fd(int fd) noexcept;
}

/// Owns a file descriptor and closes it once. Empty when default-constructed or moved from.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) noexcept : fd_(fd) {}  ///< takes it over; negative: empty
  ///@{
  /// The other one is empty afterwards; a descriptor that was here before is closed.
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    UniqueFd(std::move(other)).swap(*this);  // correct for self-move too
    return *this;
  }
  ///@}
  ~UniqueFd() {
    if (fd_ >= 0) detail::close_fd(fd_);
  }

  /// The descriptor, borrowed: valid as long as this object owns it. -1 when empty.
  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Gives up the descriptor without closing it: the caller owns it now. -1 when empty.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  /// Closes the descriptor, if there is one, and takes over `fd`; -1: stays empty.
  void reset(int fd = -1) noexcept { UniqueFd(fd).swap(*this); }
  /// Whether there is a descriptor.
  explicit operator bool() const noexcept { return fd_ >= 0; }
  /// Exchanges the descriptors; closes none.
  void swap(UniqueFd& other) noexcept { std::swap(fd_, other.fd_); }

 private:
  int fd_ = -1;
};

}  // namespace vmm
