// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "crash_terminal.h"

#include <signal.h>

namespace vmm::reference {
namespace {

// What the handler restores. Written before the handler is installed.
constinit sys_util::TerminalSettings g_terminal_before;

void restore_and_die(int number) {
  restore_terminal();
  ::raise(number);
}

// Its default effect comes with the second one.
Result<void> install(int number) {
  struct sigaction action{};
  action.sa_handler = &restore_and_die;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  sigemptyset(&action.sa_mask);
  if (::sigaction(number, &action, nullptr) != 0) return fail(Error::from_errno("sigaction"));
  return {};
}

}  // namespace

void restore_terminal() { g_terminal_before.restore(); }

Outcome<void> restore_terminal_on_crash(const sys_util::TerminalSettings& before) {
  if (!before.is_terminal()) return {};
  g_terminal_before = before;
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGQUIT}) {
    VMM_STEP_DO("signals", install(number));
  }
  return {};
}

}  // namespace vmm::reference
