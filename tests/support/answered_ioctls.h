// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Stands in for a driver that this kernel does not have: ioctls of one type are answered by the
// test, through seccomp's user notifications. They pass the real system call on the way.

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <thread>

#include "ioctl_order.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::testing {

/// An ioctl as its caller made it.
struct AskedIoctl {
  int fd;
  unsigned long request;
  std::uintptr_t argument;
};
/// 0 or more, or an errno value negated.
using Answer = std::function<int(const AskedIoctl&)>;

namespace detail {

/// A filter for this thread, whose listener is told of ioctls of this type. Empty: not here.
inline UniqueFd listen_to_ioctls(std::uint8_t type) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_ioctl, 0, 4),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xff00),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(type) << 8, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program{.len = std::size(code), .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return {};
  return UniqueFd(static_cast<int>(
      ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
}

inline void answer_one(int listener, const Answer& answer) {
  seccomp_notif question{};
  if (::ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &question) != 0) return;
  const int value = answer({.fd = static_cast<int>(question.data.args[0]),
                            .request = static_cast<unsigned long>(question.data.args[1]),
                            .argument = static_cast<std::uintptr_t>(question.data.args[2])});
  seccomp_notif_resp response{
      .id = question.id, .val = value < 0 ? 0 : value, .error = value < 0 ? value : 0, .flags = 0};
  (void)::ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

}  // namespace detail

/// Runs `body` on a thread of its own, for which `answer` stands behind ioctls of this type. False
/// when this kernel does not let programs do that. `answer` is called on the caller's thread.
inline bool with_answers(std::uint8_t type, const Answer& answer,
                         const std::function<void()>& body) {
  let_ioctls_order_threads();
  auto done = *sys_util::EventFd::create();
  std::promise<int> listener_fd;
  UniqueFd listener;
  std::exception_ptr thrown;
  std::thread client([&] {
    listener = detail::listen_to_ioctls(type);
    listener_fd.set_value(listener.get());
    try {
      if (listener) body();
    } catch (...) {
      thrown = std::current_exception();  // a check of the test's
    }
    (void)done.add();
  });
  const int from = listener_fd.get_future().get();
  while (from >= 0) {
    pollfd fds[] = {{.fd = from, .events = POLLIN, .revents = 0},
                    {.fd = done.fd(), .events = POLLIN, .revents = 0}};
    if (::poll(fds, 2, -1) < 0 && errno != EINTR) break;
    if ((fds[0].revents & POLLIN) != 0) detail::answer_one(from, answer);
    if (fds[1].revents != 0) break;
  }
  client.join();
  if (thrown) std::rethrow_exception(thrown);
  return from >= 0;
}

}  // namespace vmm::testing
