// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "mailbox.h"

#include <cerrno>
#include <utility>

namespace vmm::event_manager::detail {

Result<void> Mailbox::post(Function function) {
  bool first = false;
  {
    const MutexLock lock(mutex_);
    if (closed_) return fail(Error::os(ESHUTDOWN, "post to event loop"));
    first = functions_.empty();
    functions_.push_back(std::move(function));
  }
  if (first) wake();  // otherwise the wake-up of an earlier function is still to come
  return {};
}

void Mailbox::wake() const {
  // Fails only when the counter is full, and then the loop is about to wake anyway.
  static_cast<void>(wake_.add());
}

std::vector<Mailbox::Function> Mailbox::collect() {
  // The wake-up goes first: a function that comes in between then leaves its own behind.
  static_cast<void>(wake_.take());
  const MutexLock lock(mutex_);
  return std::exchange(functions_, {});
}

std::vector<Mailbox::Function> Mailbox::close() {
  const MutexLock lock(mutex_);
  closed_ = true;
  return std::exchange(functions_, {});
}

}  // namespace vmm::event_manager::detail
