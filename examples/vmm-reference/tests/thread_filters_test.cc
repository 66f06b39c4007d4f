// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "thread_filters.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <thread>

#include "libs/sandbox/tests/child.h"
#include "vmm/base/detail/system_call.h"
#include "vmm/sys_util/event_fd.h"

using namespace vmm;
using namespace vmm::reference;
using sandbox::SeccompFilter;
using sandbox::testing::Ended;
using sandbox::testing::in_child;

namespace {

constexpr int kNotInstalled = 99;
// What threads need is then more than the tables have.
constexpr bool kSanitized = vmm::detail::kIntercepted;

std::set<std::string> calls_of(ThreadKind kind) {
  std::set<std::string> calls;
  for (const sandbox::Rule& rule : rules_for(kind, 1)) {
    if (rule.error == 0) calls.insert(rule.call);
  }
  return calls;
}

// With the end of a child in addition.
bool lock_in(ThreadKind kind) {
  auto rules = rules_for(kind, ::getpid());
  rules.push_back({.call = "exit_group"});
  const auto filter = SeccompFilter::compile(rules, sandbox::Refusal::kTrap);
  return filter && filter->install();
}

// What a child in such a thread's place comes to when it does `body`.
Ended behind(ThreadKind kind, const std::function<int()>& body) {
  return in_child([&] { return lock_in(kind) ? body() : kNotInstalled; });
}

bool is_killed(const Ended& ended) { return ended.by_signal && ended.code == SIGSYS; }

bool has_filters() {
  const bool has = SeccompFilter::check_kernel().has_value();
  if (!has) WARN("no filters of system calls here: user-mode emulation has none");
  return has;
}

}  // namespace

TEST_CASE("the tables are as small as they are meant to be", "[seccomp]") {
  CHECK(sandbox::count_calls(rules_for(ThreadKind::kControl, 1)) <= 50);
  CHECK(sandbox::count_calls(rules_for(ThreadKind::kVcpu, 1)) <= 30);
}

TEST_CASE("who begins a thread may do what it may", "[seccomp]") {
  for (const ThreadKind kind : kThreadKinds) {
    CAPTURE(name_of(kind));
    CHECK(SeccompFilter::compile(rules_for(kind, 1), sandbox::Refusal::kTrap));
    CHECK(std::ranges::includes(calls_of(begun_by(kind)), calls_of(kind)));
  }
}

TEST_CASE("only the opener can open files and make sockets that listen", "[seccomp]") {
  for (const ThreadKind kind : kThreadKinds) {
    CAPTURE(name_of(kind));
    const auto calls = calls_of(kind);
    const bool opens = kind == ThreadKind::kOpener;
    for (const char* call : {"openat", "bind", "listen"}) CHECK(calls.contains(call) == opens);
    for (const char* call : {"execve", "execveat", "fork", "vfork", "ptrace", "kill", "mount",
                             "setuid", "open_by_handle_at", "process_vm_writev", "bpf"}) {
      CHECK_FALSE(calls.contains(call));
    }
  }
}

#ifdef __x86_64__  // other architectures have other names for some
TEST_CASE("the documentation has the tables", "[seccomp]") {
  std::ifstream file(VMM_SANDBOX_PAGE);
  REQUIRE(file);
  const std::string page(std::istreambuf_iterator<char>(file), {});
  for (const ThreadKind kind : kThreadKinds) {
    const auto calls = calls_of(kind);
    std::string row =
        std::string("| ") + name_of(kind) + " | " + std::to_string(calls.size()) + " |";
    for (const std::string& call : calls) row += " " + call;
    CAPTURE(row + " |\n");
    CHECK(page.find(row + " |\n") != std::string::npos);
  }
}
#endif

TEST_CASE("a forbidden call of a thread ends the process", "[seccomp]") {
  if (!has_filters()) return;
  struct Row {
    const char* what;
    ThreadKind kind;
    int (*body)();
  };
  for (const Row& row : {
           Row{"a vCPU makes a socket", ThreadKind::kVcpu,
               [] { return ::socket(AF_UNIX, SOCK_STREAM, 0); }},
           Row{"a vCPU begins a thread", ThreadKind::kVcpu,
               [] { return static_cast<int>(::syscall(SYS_clone, 0, 0, 0, 0, 0)); }},
           Row{"a vCPU makes a VM", ThreadKind::kVcpu,
               [] { return ::ioctl(-1, KVM_CREATE_VM, 0); }},
           Row{"a vCPU types", ThreadKind::kVcpu, [] { return ::ioctl(-1, TIOCSTI, ""); }},
           Row{"code is made", ThreadKind::kControl,
               [] {
                 (void)::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
                              0);
                 return 0;
               }},
           Row{"the control thread runs a program", ThreadKind::kControl,
               [] { return ::execl("/bin/true", "true", nullptr); }},
           Row{"a process is begun", ThreadKind::kOpener,
               [] { return static_cast<int>(::syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)); }},
           Row{"another process is ended", ThreadKind::kControl,
               [] { return static_cast<int>(::syscall(SYS_tgkill, 1, 1, 0)); }},
           Row{"a disk connects", ThreadKind::kDisk, [] { return ::connect(-1, nullptr, 0); }},
           Row{"a peer speaks to the Internet", ThreadKind::kPeer,
               [] { return ::socket(AF_INET, SOCK_STREAM, 0); }},
       }) {
    CAPTURE(row.what);
    CHECK(is_killed(behind(row.kind, [&row] { return row.body(); })));
  }
}

TEST_CASE("what threads need is allowed", "[seccomp]") {
  if (kSanitized || !has_filters()) return;
  const Ended vcpu = behind(ThreadKind::kVcpu, [] {
    if (::ioctl(-1, KVM_RUN, 0) >= 0 || errno != EBADF) return 1;
    if (::syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY) >= 0 || errno != EPERM) return 2;
    return ::syscall(SYS_tgkill, ::getpid(), ::gettid(), 0) == 0 ? 0 : 3;
  });
  CHECK((!vcpu.by_signal && vcpu.code == 0));
  const auto filter =
      SeccompFilter::compile(rules_for(ThreadKind::kVcpu, 1), sandbox::Refusal::kTrap);
  REQUIRE(filter);
  const Ended control = in_child([&filter] {
    std::thread([] {}).join();  // the first one sets a handler: in the VMM that is the opener
    if (!lock_in(ThreadKind::kControl)) return kNotInstalled;
    bool ran = false;
    std::thread([&] { ran = filter->install().has_value(); }).join();
    return ran ? 0 : 1;
  });
  CHECK((!control.by_signal && control.code == 0));
}

TEST_CASE("every thread may read and signal an eventfd that a peer has, too", "[seccomp]") {
  if (kSanitized || !has_filters()) return;
  const auto event = sys_util::EventFd::create();
  REQUIRE(event);
  for (const ThreadKind kind : kThreadKinds) {
    CAPTURE(name_of(kind));
    const Ended ended = behind(kind, [&event] {
      if (!sys_util::signal_shared(event->fd())) return 1;
      if (!event->take()) return 2;
      return event->take().error().is_os(EAGAIN) ? 0 : 3;
    });
    CHECK((!ended.by_signal && ended.code == 0));
  }
}
