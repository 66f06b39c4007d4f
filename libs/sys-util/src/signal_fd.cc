// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/signal_fd.h"

#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "vmm/sys_util/signal.h"

namespace vmm::sys_util {

Result<SignalFd> SignalFd::create(std::span<const int> signals) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int number : signals) {
    // The kernel would silently leave these two out.
    if (!is_valid_signal(number) || number == SIGKILL || number == SIGSTOP) {
      return fail(Error::os(EINVAL, "signalfd"));
    }
    ::sigaddset(&set, number);
  }
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return fail(Error::from_errno("signalfd"));
  const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (error != 0) return fail(Error::os(error, "block signals"));
  return SignalFd(std::move(fd));
}

Result<std::optional<SignalFd::Received>> SignalFd::take() const {
  signalfd_siginfo info{};
  if (::read(fd_.get(), &info, sizeof(info)) != sizeof(info)) {
    if (errno == EAGAIN) return std::optional<Received>();
    return fail(Error::from_errno("read signalfd"));
  }
  return std::optional<Received>(Received{.number = static_cast<int>(info.ssi_signo),
                                          .sender_pid = static_cast<int>(info.ssi_pid)});
}

}  // namespace vmm::sys_util
