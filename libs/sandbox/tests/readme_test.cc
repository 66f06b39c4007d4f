// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <sys/socket.h>

#include "tests/child.h"
#include "thread_sanitizer.h"
#include "vmm/sandbox/forbidden_call.h"
#include "vmm/sandbox/seccomp_filter.h"

namespace {

using namespace vmm;
using sandbox::Rule;

// Reads and writes what it has; sockets of this machine; KVM's ioctls; the end.
constexpr std::array kCalls{
    Rule{"read"},
    Rule{"write"},
    Rule{.call = "socket", .arguments = {sandbox::equals(0, AF_UNIX)}},
    sandbox::ioctls_of(0xae),
    Rule{"exit_group"},
};

Result<void> lock_in() {
  VMM_TRY_DO(sandbox::tell_of_forbidden_calls({.hint = "--seccomp false turns the filters off"}));
  VMM_TRY(const auto filter, sandbox::SeccompFilter::compile(kCalls, sandbox::Refusal::kTrap));
  return filter.install();  // for this thread, and those that it begins from now on
}

}  // namespace

TEST_CASE("the README's example ends a program that does what it may not", "[readme]") {
  if (vmm::testing::kThreadSanitizer) return;  // its handler makes calls before ours
  const auto ended = sandbox::testing::in_child([] {
    if (!lock_in()) return 99;
    return ::socket(AF_INET, SOCK_STREAM, 0) >= 0 ? 1 : 0;
  });
  CHECK((ended.by_signal && ended.code == SIGSYS));
  CHECK(ended.errors.find("--seccomp false turns the filters off") != std::string::npos);
}
