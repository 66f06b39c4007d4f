// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-console: a pseudo-terminal, or standard input and output, for a VM of another program.

#include "vmm/virtio_console/console.h"

#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "daemon_program.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/pseudo_terminal.h"
#include "vmm/virtio_console/fd_port.h"

namespace {

using namespace vmm;

/// The host's side of the console. None of it waits: a stopped terminal makes the guest wait.
struct Host {
  std::optional<sys_util::PseudoTerminal> pty;
  std::optional<virtio_console::FdOutput> output;
  sys_util::NonBlocking no_waiting;
  std::shared_ptr<virtio_console::Console> console;

  /// The descriptor to read from.
  Result<int> open(bool standard) {
    int in = STDIN_FILENO;
    int out = STDOUT_FILENO;
    if (!standard) {
      VMM_TRY(pty, sys_util::PseudoTerminal::open());
      std::printf("%s\n", pty->path.c_str());
      std::fflush(stdout);
      in = out = pty->controller.get();
    }
    VMM_TRY(no_waiting, sys_util::NonBlocking::create(out, "console output: fcntl"));
    output.emplace(out);
    return in;
  }
};

}  // namespace

int main(int argc, char** argv) {
  Host host;
  std::unique_ptr<virtio_console::FdInput> input;
  bool standard = false;
  vhost_user_daemon::Program program{
      .name = "vhost-user-console",
      .type = "console",
      .features = {},
      .options = {{"stdio", nullptr, "standard input and output instead of a new terminal",
                   [&](std::string_view) { return standard = true; }}},
      .make_device = {}};
  program.make_device =
      [&](event_manager::EventLoop& loop) -> Result<std::shared_ptr<virtio_device::VirtioDevice>> {
    VMM_TRY(const int in, host.open(standard));
    VMM_TRY(host.console, virtio_console::Console::create({.output = &*host.output}));
    VMM_TRY(input, virtio_console::FdInput::create(loop, in, *host.console));
    return std::shared_ptr<virtio_device::VirtioDevice>(host.console);
  };
  return vhost_user_daemon::run(program, argc, argv);
}
