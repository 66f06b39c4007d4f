// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/seccomp_filter.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <cerrno>
#include <thread>
#include <vector>

#include "tests/child.h"

using namespace vmm;
using namespace vmm::sandbox;
using namespace vmm::sandbox::testing;

namespace {

// What a child needs to end, also under sanitizers' and the C library's hands.
constexpr std::array kToEnd{
    Rule{"exit_group"},      Rule{"exit"},         Rule{"futex"},       Rule{"write"},
    Rule{"munmap"},          Rule{"mmap"},         Rule{"madvise"},     Rule{"rt_sigprocmask"},
    Rule{"close"},           Rule{"rt_sigaction"}, Rule{"sched_yield"}, Rule{"mprotect"},
    Rule{"set_robust_list"}, Rule{"rseq"},         Rule{"clone3"},      Rule{"clone"},
    Rule{"gettid"},          Rule{"sigaltstack"},  Rule{"brk"},         Rule{"sched_getaffinity"},
    Rule{"prctl"},           Rule{"seccomp"},      Rule{"getpid"}};

std::vector<Rule> with(std::initializer_list<Rule> more) {
  std::vector<Rule> rules(kToEnd.begin(), kToEnd.end());
  rules.insert(rules.end(), more);
  return rules;
}

Result<void> lock_in(const std::vector<Rule>& rules, Refusal refusal) {
  VMM_TRY(const SeccompFilter filter, SeccompFilter::compile(rules, refusal));
  return filter.install();
}

constexpr int kNotInstalled = 99;

}  // namespace

TEST_CASE("a call that is not allowed is trapped, refused, or logged", "[seccomp]") {
  struct Row {
    Refusal refusal;
    bool by_signal;
    int code;
  };
  for (const Row& row : {Row{Refusal::kTrap, true, SIGSYS}, Row{Refusal::kErrno, false, EPERM},
                         Row{Refusal::kLog, false, 0}}) {
    const Ended ended = in_child([&row] {
      if (!lock_in(with({}), row.refusal)) return kNotInstalled;
      return ::syscall(SYS_getppid) < 0 ? errno : 0;
    });
    CHECK(ended.by_signal == row.by_signal);
    CHECK(ended.code == row.code);
  }
}

TEST_CASE("a call that is allowed is made", "[seccomp]") {
  const Ended ended = in_child([] {
    if (!lock_in(with({Rule{"getppid"}}), Refusal::kTrap)) return kNotInstalled;
    return ::syscall(SYS_getppid) < 0 ? 1 : 0;
  });
  CHECK((!ended.by_signal && ended.code == 0));
}

TEST_CASE("arguments are compared", "[seccomp]") {
  struct Row {
    int family;
    bool allowed;
  };
  for (const Row& row : {Row{AF_UNIX, true}, Row{AF_INET, false}, Row{AF_NETLINK, false}}) {
    const Ended ended = in_child([&row] {
      const Rule sockets{.call = "socket", .arguments = {equals(0, AF_UNIX)}};
      if (!lock_in(with({sockets}), Refusal::kErrno)) return kNotInstalled;
      return ::socket(row.family, SOCK_DGRAM, 0) < 0 ? errno : 0;
    });
    CHECK(ended.code == (row.allowed ? 0 : EPERM));
  }
  for (const auto& [request, code] : {std::pair(FIONREAD, EBADF), {_IO(0xae, 1), EPERM}}) {
    const Ended ended = in_child([asked = request] {
      if (!lock_in(with({ioctls_of('T')}), Refusal::kErrno)) return kNotInstalled;
      return ::ioctl(-1, static_cast<unsigned long>(asked), 0) < 0 ? errno : 0;
    });
    CHECK(ended.code == code);
  }
}

TEST_CASE("rules for one call add up", "[seccomp]") {
  const Ended ended = in_child([] {
    if (!lock_in(with({ioctls_of('T'), ioctls_of(0xae)}), Refusal::kErrno)) return kNotInstalled;
    (void)::ioctl(-1, _IO(0xae, 1), 0);
    return errno;
  });
  CHECK(ended.code == EBADF);
}

TEST_CASE("a thread is behind its own filter and that of its parent", "[seccomp]") {
  const Ended ended = in_child([] {
    const auto inner = SeccompFilter::compile(with({Rule{"getppid"}}), Refusal::kErrno);
    if (!inner || !lock_in(with({Rule{"getppid"}, Rule{"getuid"}}), Refusal::kErrno)) {
      return kNotInstalled;
    }
    int refused = 0;
    std::thread thread([&] {
      if (!inner->install()) return;
      if (::syscall(SYS_getppid) >= 0) refused |= 1;
      if (::syscall(SYS_getuid) < 0) refused |= 2;
      if (::syscall(SYS_getgid) < 0) refused |= 4;
    });
    thread.join();
    if (::syscall(SYS_getuid) >= 0) refused |= 8;
    return refused;
  });
  CHECK(ended.code == 15);
}

TEST_CASE("filters that cannot be", "[seccomp][hostile]") {
  const auto misspelt = SeccompFilter::compile(std::array{Rule{"opne"}}, Refusal::kTrap);
  REQUIRE_FALSE(misspelt);
  CHECK(misspelt.error().code() == static_cast<std::int32_t>(SandboxError::kUnknownCall));
  const std::vector<Rule> many(SeccompFilter::kMaxRules + 1, Rule{"read"});
  CHECK_FALSE(SeccompFilter::compile(many, Refusal::kTrap));
}

TEST_CASE("calls of other architectures are passed over", "[seccomp]") {
  const auto filter = SeccompFilter::compile(
      std::array{Rule{"epoll_wait"}, Rule{"open"}, Rule{"epoll_pwait"}, Rule{"sigreturn"}},
      Refusal::kTrap);
  REQUIRE(filter);
  CHECK(filter->instructions() > 4);
}

TEST_CASE("calls are counted once", "[seccomp]") {
  CHECK(count_calls(std::array{Rule{"read"}, ioctls_of(1), ioctls_of(2), Rule{"write"}}) == 3);
  CHECK(count_calls({}) == 0);
}

TEST_CASE("a call that is to fail does so, whatever becomes of others", "[seccomp]") {
  for (const Refusal refusal : {Refusal::kTrap, Refusal::kErrno, Refusal::kLog}) {
    const Ended ended = in_child([refusal] {
      const auto rules = with({failing("getppid", ENOSYS), failing("getuid", EPERM)});
      if (!lock_in(rules, refusal)) return kNotInstalled;
      if (::syscall(SYS_getppid) >= 0 || errno != ENOSYS) return 1;
      return ::syscall(SYS_getuid) < 0 && errno == EPERM ? 0 : 2;
    });
    CHECK((!ended.by_signal && ended.code == 0));
  }
  CHECK(count_calls(std::array{Rule{"read"}, failing("openat", EPERM)}) == 1);
}

TEST_CASE("bits of an argument that may not be", "[seccomp]") {
  const Ended ended = in_child([] {
    const Rule tame{.call = "getpriority", .arguments = {without(0, 4)}};
    if (!lock_in(with({tame}), Refusal::kErrno)) return kNotInstalled;
    (void)::syscall(SYS_getpriority, 3, 0);
    if (errno == EPERM) return 1;
    return ::syscall(SYS_getpriority, 4, 0) < 0 && errno == EPERM ? 0 : 2;
  });
  CHECK((!ended.by_signal && ended.code == 0));
}

TEST_CASE("this kernel has filters", "[seccomp]") { CHECK(SeccompFilter::check_kernel()); }
