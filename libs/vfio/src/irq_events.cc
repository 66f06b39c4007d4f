// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/irq_events.h"

#include <array>
#include <utility>

namespace vmm::vfio {

using sys_util::EventFd;

Result<IrqEvents> IrqEvents::create(bool unmasked_later) {
  VMM_TRY(EventFd trigger, EventFd::create());
  std::optional<EventFd> unmask;
  if (unmasked_later) {
    VMM_TRY(unmask, EventFd::create());
  }
  return IrqEvents(std::move(trigger), std::move(unmask));
}

void IrqEvents::clear() const {
  (void)trigger_.take();
  if (unmask_) (void)unmask_->take();
}

Result<void> IrqEvents::enable(const Device& device, std::uint32_t index) const {
  VMM_TRY_DO(device.set_irqs(index, 0, std::array<std::int32_t, 1>{trigger_fd()}));
  if (!unmask_) return {};
  auto done = device.set_unmask_fd(index, 0, unmask_fd());
  if (!done) (void)device.disable_irqs(index);
  return done;
}

}  // namespace vmm::vfio
