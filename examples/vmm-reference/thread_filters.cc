// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "thread_filters.h"

#include <unistd.h>

#include <memory>
#include <optional>

#include "crash_terminal.h"
#include "vmm/sandbox/forbidden_call.h"

namespace vmm::reference {
namespace {

using sandbox::SeccompFilter;

using Filters = std::array<std::optional<SeccompFilter>, kThreadKinds.size()>;

// Stays to the end, as threads do. nullptr: no filters. Each filter is there before a thread that
// needs it.
constinit Filters* g_filters = nullptr;
constinit SeccompMode g_mode = SeccompMode::kOff;

constexpr const char* kHint =
    "please report it; --seccomp log lets such calls pass and notes them in the kernel's log, "
    "--seccomp false does without filters";

sandbox::Refusal refusal_of(SeccompMode mode) {
  switch (mode) {
    case SeccompMode::kErrno:
      return sandbox::Refusal::kErrno;
    case SeccompMode::kLog:
      return sandbox::Refusal::kLog;
    case SeccompMode::kTrap:
    case SeccompMode::kOff:
      break;
  }
  return sandbox::Refusal::kTrap;
}

std::size_t index_of(ThreadKind kind) { return static_cast<std::size_t>(kind); }

}  // namespace

Outcome<void> prepare_filters(SeccompMode mode) {
  if (mode == SeccompMode::kOff) return {};
  if (const auto able = SeccompFilter::check_kernel(); !able) {
    return fail(runtime("--seccomp", able.error()));
  }
  VMM_STEP_DO("--seccomp", sandbox::tell_of_forbidden_calls(
                               {.hint = kHint, .before_the_end = &restore_terminal}));
  g_filters = std::make_unique<Filters>().release();
  g_mode = mode;
  for (const ThreadKind kind :
       {ThreadKind::kOpener, ThreadKind::kControl, ThreadKind::kVcpu, ThreadKind::kEvents}) {
    VMM_TRY_DO(prepare_filter(kind));
  }
  return {};
}

Outcome<void> prepare_filter(ThreadKind kind) {
  if (g_filters == nullptr) return {};
  auto& filter = (*g_filters)[index_of(kind)];
  if (filter) return {};
  const auto rules = rules_for(kind, ::getpid());
  VMM_STEP("--seccomp", filter, SeccompFilter::compile(rules, refusal_of(g_mode)));
  return {};
}

SeccompMode filters_mode() { return g_mode; }

Outcome<void> enter_filter(ThreadKind kind) {
  if (g_filters == nullptr) return {};
  VMM_STEP_DO("--seccomp", (*g_filters)[index_of(kind)]->install());
  return {};
}

}  // namespace vmm::reference
