// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/pseudo_terminal.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "vmm/sys_util/ioctl.h"
#include "vmm/sys_util/terminal.h"

namespace vmm::sys_util {
namespace {

// That of the mounted devpts first: the other may be of a devpts that is not mounted here.
Result<UniqueFd> open_controller() {
  constexpr int kFlags = O_RDWR | O_NOCTTY | O_CLOEXEC;
  UniqueFd mounted(::open("/dev/pts/ptmx", kFlags));
  if (mounted) return mounted;
  UniqueFd other(::open("/dev/ptmx", kFlags));
  if (!other) return fail(Error::from_errno("open /dev/ptmx"));
  return other;
}

}  // namespace

Result<PseudoTerminal> PseudoTerminal::open() {
  PseudoTerminal pty;
  VMM_TRY(pty.controller, open_controller());
  const int controller = pty.controller.get();
  const int locked = 0;
  VMM_TRY_DO(ioctl(controller, VMM_IOCTL(TIOCSPTLCK), &locked));
  VMM_TRY(const int terminal, ioctl(controller, VMM_IOCTL(TIOCGPTPEER),
                                    static_cast<std::uintptr_t>(O_RDWR | O_NOCTTY | O_CLOEXEC)));
  pty.terminal.reset(terminal);
  unsigned number = 0;
  VMM_TRY_DO(ioctl(controller, VMM_IOCTL(TIOCGPTN), &number));
  pty.path = "/dev/pts/" + std::to_string(number);
  VMM_TRY(const TerminalSettings settings, TerminalSettings::read(terminal));
  VMM_TRY_DO(settings.enter_raw_mode());
  return pty;
}

}  // namespace vmm::sys_util
