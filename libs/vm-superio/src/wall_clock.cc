// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/wall_clock.h"

#include <ctime>

namespace vmm::vm_superio {

std::int64_t HostClock::seconds() const { return std::time(nullptr); }

std::int64_t HostClock::nanoseconds() const {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

}  // namespace vmm::vm_superio
