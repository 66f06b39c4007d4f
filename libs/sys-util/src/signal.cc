// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/signal.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

namespace vmm::sys_util {
namespace {

Result<void> install(int number, SignalHandler handler, const char* what) {
  if (!is_valid_signal(number)) return fail(Error::os(EINVAL, what));
  struct sigaction action = {};
  action.sa_handler = handler;
  // No SA_RESTART: interrupting a system call is the point.
  if (::sigaction(number, &action, nullptr) != 0) return fail(Error::from_errno(what));
  return {};
}

Result<sigset_t> set_of(int number, const char* what) {
  if (!is_valid_signal(number)) return fail(Error::os(EINVAL, what));
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, number);
  return set;
}

// pthread functions return the error instead of setting errno.
Result<sigset_t> change_mask(int how, const sigset_t* change, const char* what) {
  sigset_t before;
  const int error = ::pthread_sigmask(how, change, &before);
  if (error != 0) return fail(Error::os(error, what));
  return before;
}

}  // namespace

bool is_valid_signal(int number) {
  return (number >= SIGHUP && number <= SIGSYS) || (number >= SIGRTMIN && number <= SIGRTMAX);
}

Result<int> realtime_signal(int offset) {
  if (offset < 0 || offset > SIGRTMAX - SIGRTMIN) {
    return fail(Error::os(EINVAL, "realtime signal"));
  }
  return SIGRTMIN + offset;
}

Result<void> set_signal_handler(int number, SignalHandler handler) {
  return install(number, handler, "set signal handler");
}

Result<void> set_empty_signal_handler(int number) {
  return install(number, [](int) {}, "set empty signal handler");
}

Result<void> reset_signal_handler(int number) {
  return install(number, SIG_DFL, "reset signal handler");
}

Result<void> ignore_signal(int number) { return install(number, SIG_IGN, "ignore signal"); }

Result<void> block_signal(int number) {
  VMM_TRY(const sigset_t set, set_of(number, "block signal"));
  VMM_TRY(const sigset_t before, change_mask(SIG_BLOCK, &set, "block signal"));
  if (::sigismember(&before, number) == 1) return fail(Error::os(EALREADY, "block signal"));
  return {};
}

Result<void> unblock_signal(int number) {
  VMM_TRY(const sigset_t set, set_of(number, "unblock signal"));
  VMM_TRY_DO(change_mask(SIG_UNBLOCK, &set, "unblock signal"));
  return {};
}

Result<bool> is_signal_blocked(int number) {
  if (!is_valid_signal(number)) return fail(Error::os(EINVAL, "read signal mask"));
  VMM_TRY(const sigset_t mask, change_mask(SIG_BLOCK, nullptr, "read signal mask"));
  return ::sigismember(&mask, number) == 1;
}

Result<void> drain_signal(int number) {
  VMM_TRY(const sigset_t set, set_of(number, "drain signal"));
  const timespec now{};
  for (;;) {
    if (::sigtimedwait(&set, nullptr, &now) >= 0 || errno == EINTR) continue;
    if (errno == EAGAIN) return {};  // nothing is pending any more
    return fail(Error::from_errno("drain signal"));
  }
}

ThreadId ThreadId::current() { return {static_cast<int>(::syscall(SYS_gettid))}; }

Result<void> signal_thread(ThreadId thread, int number) {
  if (!is_valid_signal(number)) return fail(Error::os(EINVAL, "signal thread"));
  if (::syscall(SYS_tgkill, ::getpid(), thread.tid, number) != 0) {
    return fail(Error::from_errno("signal thread"));
  }
  return {};
}

}  // namespace vmm::sys_util
