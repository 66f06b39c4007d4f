// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "vmm/base/error.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"

namespace vmm::vhost_user_backend {

/// Brings the state of a device to a pipe of the front end, or from one, as that takes it or gives
/// it. At most StateOwner::kMaxBytes.
///
/// Threads: the loop's. It must not move.
class StateTransfer {
 public:
  /// `loop` outlives it.
  explicit StateTransfer(event_manager::EventLoop& loop) : loop_(loop) {}
  StateTransfer(const StateTransfer&) = delete;
  StateTransfer& operator=(const StateTransfer&) = delete;

  // Each begins anew. Errors: those of fcntl(2) and EventLoop::add(): EPERM for a regular file.

  Result<void> save(UniqueFd pipe, std::vector<std::byte> state);
  Result<void> load(UniqueFd pipe);
  /// Whether the last one that began, and was not taken, was load().
  [[nodiscard]] bool is_load() const { return kind_ == Kind::kLoad; }

  /// Ends it; what was loaded, or nothing. What stands in the pipe is taken now.
  /// Errors: kBadState when none was begun, or not all was written or read to its end; EFBIG;
  /// those of read(2) and write(2).
  Result<std::vector<std::byte>> finish();
  /// Ends it wherever it is.
  void cancel();

 private:
  enum class Kind { kNone, kSave, kLoad };

  Result<void> begin(Kind kind, UniqueFd pipe);
  /// Goes on as far as that does not wait.
  void go_on();
  void write_some();
  void read_some();
  void end(std::optional<Error> error);

  event_manager::EventLoop& loop_;
  Kind kind_ = Kind::kNone;
  UniqueFd pipe_;  // until the end
  event_manager::Registration watch_;
  std::vector<std::byte> state_;
  std::size_t written_ = 0;
  std::optional<Error> error_;
};

}  // namespace vmm::vhost_user_backend
