// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>

#include "vmm/base/result.h"

namespace vmm::event_manager {

namespace detail {
class Mailbox;
}

/// Hands functions to the thread of an EventLoop. Copyable; may outlive the loop.
///
/// Thread-safety: all functions may be called from any thread.
class Poster {
 public:
  /// Runs `function` in the loop, after the handlers of a round. Does not block and never runs it
  /// at once. A function that was accepted may still be destroyed unrun when the loop ends.
  /// Errors: ESHUTDOWN after the loop's end; EINVAL for an empty function.
  Result<void> post(std::function<void()> function) const;

  /// Runs `function` in the loop and waits until it returned; runs it at once when the caller is
  /// the loop's thread. Waits for as long as nobody runs the loop.
  /// Errors: ESHUTDOWN when the loop ended before it ran; EINVAL for an empty function.
  Result<void> call(std::function<void()> function) const;

  /// Makes the current or next EventLoop::run_once() return even if nothing is ready.
  void wake() const;

 private:
  friend class EventLoop;
  explicit Poster(std::shared_ptr<detail::Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}

  std::shared_ptr<detail::Mailbox> mailbox_;
};

}  // namespace vmm::event_manager
