// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/timer.h"

#include <cerrno>

namespace vmm::event_manager {

Result<Timer> Timer::create(EventLoop& loop, Handler handler) {
  if (!handler) return fail(Error::os(EINVAL, "create timer"));
  VMM_TRY(sys_util::TimerFd created, sys_util::TimerFd::create());
  const auto fd = std::make_shared<const sys_util::TimerFd>(std::move(created));
  VMM_TRY(Registration registration,
          loop.add(fd->fd(), kReadable, [fd, handler = std::move(handler)](EventSet) {
            const Result<std::uint64_t> expirations = fd->take();
            // 0 when an earlier handler of the same round disarmed the timer.
            if (expirations && *expirations != 0) handler(*expirations);
          }));
  return Timer(fd, std::move(registration));
}

}  // namespace vmm::event_manager
