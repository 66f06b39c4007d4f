// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/timer_fd.h"

#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/detail/system_call.h"

namespace vmm::sys_util {
namespace {

timespec to_timespec(std::chrono::nanoseconds duration) {
  const auto whole = static_cast<std::uint64_t>(duration.count());
  constexpr std::uint64_t kSecond = 1'000'000'000;
  return {static_cast<std::time_t>(whole / kSecond), static_cast<long>(whole % kSecond)};
}

Result<void> set_time(int fd, const itimerspec& spec) {
  const long answer = vmm::detail::system_call(&::timerfd_settime, SYS_timerfd_settime, fd, 0,
                                               &spec, static_cast<itimerspec*>(nullptr));
  if (answer < 0) return fail(Error::os(static_cast<int>(-answer), "timerfd_settime"));
  return {};
}

}  // namespace

Result<TimerFd> TimerFd::create() {
  UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!fd) return fail(Error::from_errno("timerfd_create"));
  return TimerFd(std::move(fd));
}

Result<void> TimerFd::arm(const Schedule& schedule) const {
  using std::chrono::nanoseconds;
  if (schedule.after < nanoseconds::zero() || schedule.every < nanoseconds::zero()) {
    return fail(Error::os(EINVAL, "timerfd_settime"));
  }
  itimerspec spec{.it_interval = to_timespec(schedule.every),
                  .it_value = to_timespec(schedule.after)};
  if (schedule.after == nanoseconds::zero()) spec.it_value.tv_nsec = 1;  // 0 would disarm
  return set_time(fd_.get(), spec);
}

Result<void> TimerFd::disarm() const {
  const itimerspec spec{};
  return set_time(fd_.get(), spec);
}

Result<std::uint64_t> TimerFd::take() const {
  std::uint64_t count = 0;
  if (::read(fd_.get(), &count, sizeof(count)) != sizeof(count)) {
    if (errno == EAGAIN) return std::uint64_t{0};
    return fail(Error::from_errno("read timerfd"));
  }
  return count;
}

Result<bool> TimerFd::is_armed() const {
  itimerspec spec{};
  if (::timerfd_gettime(fd_.get(), &spec) != 0) return fail(Error::from_errno("timerfd_gettime"));
  return spec.it_value.tv_sec != 0 || spec.it_value.tv_nsec != 0;
}

}  // namespace vmm::sys_util
