// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::vhost_user_backend {

/// A descriptor that is signalled, of which the front end says which file it stands for: the number
/// stays, and what is behind it is exchanged atomically. So nobody who signals needs a lock.
///
/// Threads: signal() from any, also while another one exchanges; the rest one at a time.
class EventLine {
 public:
  /// Not connected: signals go nowhere. Errors: those of eventfd(2).
  static Result<EventLine> create();

  /// Connects it, an eventfd usually; it becomes non-blocking. Errors: those of dup3(2), fcntl(2).
  Result<void> connect(const UniqueFd& target);
  void disconnect();

  /// Adds 1; what cannot be written is passed over.
  void signal() const;
  /// Stays the same all the time.
  [[nodiscard]] int fd() const { return line_.get(); }

 private:
  explicit EventLine(UniqueFd line) : line_(std::move(line)) {}

  UniqueFd line_;
};

}  // namespace vmm::vhost_user_backend
