// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_alarms.h"

namespace vmm::reference {

using event_manager::EventSet;

namespace {

// Whoever is called may let the alarms go.
void call(std::function<void()> handler) { handler(); }

}  // namespace

Outcome<std::unique_ptr<DeviceAlarms>> DeviceAlarms::create(const std::string& name,
                                                            event_manager::EventLoop& loop,
                                                            Handlers handlers) {
  VMM_STEP(name, auto wanted, sys_util::EventFd::create());
  VMM_STEP(name, auto error, sys_util::EventFd::create());
  std::unique_ptr<DeviceAlarms> alarms(
      new DeviceAlarms(std::move(wanted), std::move(error), std::move(handlers)));
  VMM_STEP(name, alarms->wanted_watch_,
           loop.add(alarms->wanted_fd(), event_manager::kReadable, [self = alarms.get()](EventSet) {
             if (self->wanted_.take()) call(self->handlers_.wanted);
           }));
  VMM_STEP(name, alarms->error_watch_,
           loop.add(alarms->error_fd(), event_manager::kReadable, [self = alarms.get()](EventSet) {
             if (self->error_.take()) call(self->handlers_.failed);
           }));
  return alarms;
}

}  // namespace vmm::reference
