// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/seccomp_filter.h"

#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <thread>
#include <vector>

#include "tests/child.h"
#include "thread_sanitizer.h"

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

// ThreadSanitizer has threads tell it of their end, and one of its own in each process.
bool can_wait_for_end(Refusal refusal) {
  return !vmm::testing::kThreadSanitizer || refusal != Refusal::kKillThread;
}

}  // namespace

TEST_CASE("a call that is not allowed is trapped, refused, or logged", "[seccomp]") {
  struct Row {
    Refusal refusal;
    bool by_signal;
    int code;
  };
  for (const Row& row :
       {Row{Refusal::kTrap, true, SIGSYS}, Row{Refusal::kErrno, false, EPERM},
        Row{Refusal::kLog, false, 0}, Row{Refusal::kTrace, false, ENOSYS},
        Row{Refusal::kKillProcess, true, SIGSYS}, Row{Refusal::kKillThread, true, SIGSYS}}) {
    if (!can_wait_for_end(row.refusal)) continue;
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

TEST_CASE("a thread or the whole process ends", "[seccomp]") {
  for (const Refusal refusal : {Refusal::kKillThread, Refusal::kKillProcess}) {
    if (!can_wait_for_end(refusal)) continue;
    const Ended ended = in_child([refusal] {
      std::atomic<bool> installed = false;
      std::thread thread([&] {
        installed = lock_in(with({}), refusal).has_value();
        (void)::syscall(SYS_getppid);
        installed = false;
      });
      thread.join();
      return installed ? 0 : kNotInstalled;
    });
    CHECK(ended.by_signal == (refusal == Refusal::kKillProcess));
    CHECK(ended.code == (ended.by_signal ? SIGSYS : 0));
  }
}

#if defined(__x86_64__)
TEST_CASE("a system call of another ABI ends the process, not only its thread",
          "[seccomp][hostile]") {
  constexpr long kX32 = 0x4000'0000;
  for (const Refusal refusal : {Refusal::kTrap, Refusal::kErrno, Refusal::kLog}) {
    const Ended ended = in_child([refusal] {
      std::thread thread([refusal] {
        if (lock_in(with({Rule{"getppid"}}), refusal)) (void)::syscall(kX32 | SYS_getppid);
      });
      thread.join();
      return 0;
    });
    CHECK((ended.by_signal && ended.code == SIGSYS));
  }
}
#endif

namespace {

bool holds(Compare compare, std::uint64_t argument, std::uint64_t value) {
  switch (compare) {
    case Compare::kMasked:
    case Compare::kEqual:
      return argument == value;
    case Compare::kNotEqual:
      return argument != value;
    case Compare::kLess:
      return argument < value;
    case Compare::kAtMost:
      return argument <= value;
    case Compare::kAtLeast:
      return argument >= value;
    case Compare::kGreater:
      return argument > value;
  }
  return false;
}

/// A bit for each of the arguments with which the rule lets getppid(2) pass, which takes none.
int passing(const Argument& argument, const std::array<std::uint64_t, 5>& tried) {
  return in_child([&] {
           const Rule rule{.call = "getppid", .arguments = {argument}};
           if (!lock_in(with({rule}), Refusal::kErrno)) return kNotInstalled;
           int passed = 0;
           for (std::size_t i = 0; i < tried.size(); ++i) {
             std::array<std::uint64_t, 6> words{};
             words[argument.index] = tried[i];
             const long answer =
                 ::syscall(SYS_getppid, words[0], words[1], words[2], words[3], words[4], words[5]);
             if (answer >= 0) passed |= 1 << i;
           }
           return passed;
         })
      .code;
}

}  // namespace

TEST_CASE("each operator compares 64 bits", "[seccomp]") {
  constexpr std::uint64_t kHigh = std::uint64_t{1} << 32;
  for (const auto compare : {Compare::kMasked, Compare::kEqual, Compare::kNotEqual, Compare::kLess,
                             Compare::kAtMost, Compare::kAtLeast, Compare::kGreater}) {
    for (const std::uint64_t value : {std::uint64_t{1000}, 5 * kHigh + 1000, 5 * kHigh}) {
      for (const auto index : {std::uint8_t{0}, std::uint8_t{5}}) {
        const std::array tried{value - 1, value, value + 1, value + kHigh - 1, value ^ kHigh};
        Argument argument = compared(index, compare, value);
        if (compare == Compare::kMasked) argument = equals(index, value);
        int expected = 0;
        for (std::size_t i = 0; i < tried.size(); ++i) {
          if (holds(compare, tried[i], value)) expected |= 1 << i;
        }
        CAPTURE(static_cast<int>(compare), value, index);
        CHECK(passing(argument, tried) == expected);
      }
    }
  }
  // Bits outside the mask are not looked at.
  constexpr std::uint64_t kMask = kHigh | 0xff;
  CHECK(passing(masked(2, kMask, kHigh | 7), {kHigh | 7, 7, 5 * kHigh | 7, kHigh | 0x107, kHigh}) ==
        0b01101);
}

TEST_CASE("all six arguments of a rule have to be right", "[seccomp]") {
  const Ended ended = in_child([] {
    const Rule rule{
        .call = "getppid",
        .arguments = {equals(0, 1), compared(1, Compare::kNotEqual, 2),
                      compared(2, Compare::kLess, 3), compared(3, Compare::kAtMost, 4),
                      compared(4, Compare::kAtLeast, 5), compared(5, Compare::kGreater, 6)}};
    if (!lock_in(with({rule}), Refusal::kErrno)) return kNotInstalled;
    int passed = ::syscall(SYS_getppid, 1L, 1L, 2L, 4L, 5L, 7L) < 0 ? 0 : 1;
    const std::array<long, 6> wrong{0, 2, 3, 5, 4, 6};
    for (std::size_t i = 0; i < wrong.size(); ++i) {
      std::array<long, 6> words{1, 1, 2, 4, 5, 7};
      words[i] = wrong[i];
      const long answer =
          ::syscall(SYS_getppid, words[0], words[1], words[2], words[3], words[4], words[5]);
      if (answer >= 0) passed |= 2 << i;
    }
    return passed;
  });
  CHECK((!ended.by_signal && ended.code == 1));
}

TEST_CASE("a filter for all threads counts for one that runs already", "[seccomp]") {
  const Ended ended = in_child([] {
    const auto filter = SeccompFilter::compile(with({}), Refusal::kErrno);
    std::atomic<int> step = 0;
    int refused = 0;
    std::thread sibling([&] {
      if (::syscall(SYS_getppid) >= 0) refused |= 1;
      step = 1;
      step.notify_one();
      step.wait(1);
      if (::syscall(SYS_getppid) < 0 && errno == EPERM) refused |= 2;
    });
    step.wait(0);
    if (filter && filter->install_for_all_threads()) refused |= 4;
    step = 2;
    step.notify_one();
    sibling.join();
    return refused;
  });
  CHECK((!ended.by_signal && ended.code == 7));
}

TEST_CASE("a thread with filters of its own is named", "[seccomp]") {
  const Ended ended = in_child([] {
    const auto filter = SeccompFilter::compile(with({Rule{"getppid"}}), Refusal::kErrno);
    std::atomic<int> step = 0;
    pid_t diverged = 0;
    std::thread sibling([&] {
      diverged = static_cast<pid_t>(::syscall(SYS_gettid));
      if (!filter || !filter->install()) diverged = 0;
      step = 1;
      step.notify_one();
      step.wait(1);
    });
    step.wait(0);
    const auto answer = filter->install_for_all_threads();
    step = 2;
    step.notify_one();
    sibling.join();
    if (answer || !is(answer.error(), SandboxError::kDivergedThread)) return 1;
    if (diverged == 0 || diverged_thread(answer.error()) != diverged) return 2;
    return ::syscall(SYS_getuid) < 0 ? 3 : 0;  // nor is the calling thread behind it
  });
  CHECK((!ended.by_signal && ended.code == 0));
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
  const auto misspelt =
      SeccompFilter::compile(std::array{Rule{"read"}, Rule{"opne"}}, Refusal::kTrap);
  REQUIRE_FALSE(misspelt);
  CHECK(is(misspelt.error(), SandboxError::kUnknownCall));
  CHECK(bad_rule(misspelt.error()) == 1);
  for (const int error : {-1, 4095, 0x1'0001}) {
    const auto no_errno =
        SeccompFilter::compile(std::array{failing("read", error)}, Refusal::kTrap);
    REQUIRE_FALSE(no_errno);
    CHECK(is(no_errno.error(), SandboxError::kBadErrno));
    CHECK(bad_rule(no_errno.error()) == 0);
  }
  CHECK(SeccompFilter::compile(std::array{failing("read", 4094)}, Refusal::kTrap));
  const std::vector<Rule> many(SeccompFilter::kMaxRules + 1, Rule{"read"});
  const auto too_many = SeccompFilter::compile(many, Refusal::kTrap);
  REQUIRE_FALSE(too_many);
  CHECK(is(too_many.error(), SandboxError::kTooManyRules));
  // Few enough, and yet more instructions than the kernel takes.
  std::vector<Rule> long_ones;
  for (std::uint64_t i = 0; i < SeccompFilter::kMaxRules; ++i) {
    long_ones.push_back({.call = "read",
                         .arguments = {equals(0, i), equals(1, i), equals(2, i), equals(3, i),
                                       equals(4, i), equals(5, i)}});
  }
  const auto too_long = SeccompFilter::compile(long_ones, Refusal::kTrap);
  REQUIRE_FALSE(too_long);
  CHECK(is(too_long.error(), SandboxError::kTooManyRules));
  for (const auto& arguments :
       {std::array<Argument, 6>{equals(6, 1)}, {equals(255, 1)}, {equals(1, 1), without(1, 2)}}) {
    const std::array rules{Rule{.call = "read", .arguments = arguments}};
    const auto filter = SeccompFilter::compile(rules, Refusal::kTrap);
    REQUIRE_FALSE(filter);
    CHECK(is(filter.error(), SandboxError::kBadArgument));
    CHECK(bad_rule(filter.error()) == 0);
    CHECK_FALSE(diverged_thread(filter.error()));
  }
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

TEST_CASE("a kernel that has no filters is told from one that refuses them", "[seccomp]") {
  const Ended ended = in_child([] {
    const auto filter = SeccompFilter::compile(with({}), Refusal::kTrap);
    if (!filter || !lock_in({failing("seccomp", ENOSYS)}, Refusal::kLog)) return kNotInstalled;
    const auto checked = SeccompFilter::check_kernel();
    if (checked || !is(checked.error(), SandboxError::kNoSeccomp)) return 1;
    const auto installed = filter->install();
    return !installed && is(installed.error(), SandboxError::kNoSeccomp) ? 0 : 2;
  });
  CHECK((!ended.by_signal && ended.code == 0));
}
