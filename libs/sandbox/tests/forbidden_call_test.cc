// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/forbidden_call.h"

#include <sys/syscall.h>

#include <string>
#include <vector>

#include "tests/child.h"
#include "thread_sanitizer.h"
#include "vmm/sandbox/seccomp_filter.h"
#include "vmm/sys_util/thread_name.h"

using namespace vmm;
using namespace vmm::sandbox;
using namespace vmm::sandbox::testing;

TEST_CASE("of ioctl(2) the request is told", "[sigsys]") {
  if (vmm::testing::kThreadSanitizer) return;  // its handler makes calls before ours
  const Ended ended = in_child([] {
    const std::vector<Rule> rules{{"write"}, {"exit_group"}, ioctls_of('T')};
    const auto filter = SeccompFilter::compile(rules, Refusal::kTrap);
    if (!filter || !tell_of_forbidden_calls({.hint = "hint"}) || !filter->install()) return 99;
    (void)::syscall(SYS_ioctl, -1, 0xae80, 0);
    return 0;
  });
  CHECK((ended.by_signal && ended.code == SIGSYS));
  CHECK(ended.errors.find(" (ioctl, request 0xae80), which its filter forbids; hint") !=
        std::string::npos);
}

TEST_CASE("a forbidden call is told, and the process dies from the signal", "[sigsys]") {
  if (vmm::testing::kThreadSanitizer) return;  // its handler makes calls before ours
  for (const bool may_raise : {true, false}) {
    const Ended ended = in_child([may_raise] {
      std::vector<Rule> rules{{"write"}, {"exit_group"}};
      if (may_raise) {
        for (const char* call : {"tgkill", "getpid", "gettid", "rt_sigprocmask"}) {
          rules.push_back({call});
        }
      }
      const LastWords words{.hint = "try --seccomp log", .before_the_end = [] {
                              (void)!::write(STDERR_FILENO, "restored\n", 9);
                            }};
      sys_util::set_thread_name("some-thread");
      const auto filter = SeccompFilter::compile(rules, Refusal::kTrap);
      if (!filter || !tell_of_forbidden_calls(words) || !filter->install()) return 99;
      (void)::syscall(SYS_getppid);
      return 0;
    });
    CHECK((ended.by_signal && ended.code == SIGSYS));
    CHECK(ended.errors == "the sandbox ends the program: thread some-thread made the system call " +
                              std::to_string(SYS_getppid) +
                              ", which its filter forbids; try --seccomp log\r\nrestored\n");
  }
}
