// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/queue_runner.h"

#include <unistd.h>

#include "vmm/sys_util/event_set.h"

namespace vmm::virtio_device {

using virtio_queue::Chain;
using virtio_queue::Pop;

// Edge-triggered: each kick is an edge, whether or not the counter was read; so it never is.
Result<void> QueueRunner::start(event_manager::EventLoop& loop, std::function<void()> on_kick) {
  VMM_TRY(kick_, loop.add(kick_fd_, sys_util::kReadable | sys_util::kOnChange,
                          [serve = std::move(on_kick)](event_manager::EventSet) { serve(); }));
  kick_again();
  return {};
}

void QueueRunner::kick_again() const {
  const std::uint64_t one = 1;
  (void)!::write(kick_fd_, &one, sizeof(one));  // fails only when a kick waits already
}

bool QueueRunner::pop(Chain& chain) {
  if (broken_) return false;
  for (std::uint32_t left = queue_.size(); left != 0; --left) {
    switch (queue_.pop(chain)) {
      case Pop::kChain:
        return true;
      case Pop::kEmpty:
        return false;
      case Pop::kMalformed:
        ++passed_over_;
        break;
      case Pop::kBroken:
        break_down();
        return false;
    }
  }
  kick_again();
  return false;
}

bool QueueRunner::pop_or_listen(Chain& chain) {
  if (pop(chain)) return true;
  return !broken_ && queue_.enable_notifications() && pop(chain);
}

void QueueRunner::break_down() {
  broken_ = true;
  kick_.reset();
  interrupt_->needs_reset();
}

}  // namespace vmm::virtio_device
