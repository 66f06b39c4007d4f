// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/sys_util/event_set.h"

namespace vmm::event_manager {

namespace detail {
class LoopState;
}

/// Keeps a handler registered; made by EventLoop::add(). Dropping it unregisters, also from inside
/// the handler itself. Drop it before closing the descriptor. Belongs to the loop's thread.
class Registration {
 public:
  Registration() = default;
  ///@{
  /// The other one is empty afterwards; a handler that was registered here before is unregistered.
  Registration(Registration&&) noexcept = default;
  Registration& operator=(Registration&& other) noexcept {
    Registration(std::move(other)).swap(*this);
    return *this;
  }
  ///@}
  ~Registration() {
    if (loop_ != nullptr) drop();
  }

  /// Watches for other events; kNoEvents silences all but errors and hang-ups.
  /// Errors: ENOENT when empty or after the loop's end; those of epoll_ctl(2).
  Result<void> modify(sys_util::EventSet interest);
  /// Unregisters now. The object is empty afterwards.
  void reset() { Registration().swap(*this); }

  /// Whether it was made by EventLoop::add() and not moved from or reset; also after the loop's
  /// end.
  explicit operator bool() const { return loop_ != nullptr; }
  /// Exchanges what the two keep registered; neither handler is unregistered.
  void swap(Registration& other) noexcept {
    loop_.swap(other.loop_);
    std::swap(token_, other.token_);
  }

 private:
  friend class EventLoop;
  Registration(std::shared_ptr<detail::LoopState> loop, std::uint64_t token)
      : loop_(std::move(loop)), token_(token) {}

  void drop() noexcept;

  std::shared_ptr<detail::LoopState> loop_;
  std::uint64_t token_ = 0;
};

}  // namespace vmm::event_manager
