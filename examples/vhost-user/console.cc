// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-user-console: a pseudo-terminal, or standard input and output, for a VM of another program.

#include "vmm/virtio_console/console.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <optional>

#include "daemon_program.h"
#include "vmm/sys_util/pseudo_terminal.h"

namespace {

using namespace vmm;

/// What the guest writes, to a descriptor that does not block.
class FdOutput final : public virtio_console::ConsoleOutput {
 public:
  explicit FdOutput(int fd) : fd_(fd) {}
  std::size_t write(std::span<const std::byte> bytes) override {
    const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
    if (written >= 0) return static_cast<std::size_t>(written);
    return errno == EAGAIN || errno == EINTR ? 0 : bytes.size();  // nobody will ever read it
  }
  [[nodiscard]] int room_fd() const override { return fd_; }

 private:
  int fd_;
};

/// The host's side of the console.
struct Host {
  std::optional<sys_util::PseudoTerminal> pty;
  std::optional<FdOutput> output;
  std::shared_ptr<virtio_console::Console> console;
  event_manager::Registration input;
  int input_fd = STDIN_FILENO;

  Result<void> open(bool standard) {
    int out = STDOUT_FILENO;
    if (!standard) {
      VMM_TRY(pty, sys_util::PseudoTerminal::open());
      std::printf("%s\n", pty->path.c_str());
      std::fflush(stdout);
      input_fd = out = pty->controller.get();
    }
    for (const int fd : {input_fd, out}) {
      const int flags = ::fcntl(fd, F_GETFL);
      if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return fail(Error::from_errno("console: fcntl"));
      }
    }
    output.emplace(out);
    return {};
  }
  // As much as the guest has room for; the rest waits where it is.
  void pump() {
    std::array<std::byte, 1024> bytes;
    const std::size_t room = std::min(console->space(), bytes.size());
    if (room == 0) return (void)input.modify(event_manager::kNoEvents);
    const ssize_t got = ::read(input_fd, bytes.data(), room);
    if (got > 0) (void)console->enqueue(std::span(bytes).first(static_cast<std::size_t>(got)));
    if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) input.reset();
  }
};

}  // namespace

int main(int argc, char** argv) {
  Host host;
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
    VMM_TRY_DO(host.open(standard));
    VMM_TRY(host.console, virtio_console::Console::create({.output = &*host.output}));
    auto input = loop.add(host.input_fd, event_manager::kReadable,
                          [&](event_manager::EventSet) { host.pump(); });
    if (input) host.input = std::move(*input);  // a file or /dev/null has nothing to wait for
    host.console->set_on_space([&host, poster = loop.poster()] {
      (void)poster.post([&host] {
        if (host.input) (void)host.input.modify(event_manager::kReadable);
      });
    });
    return std::shared_ptr<virtio_device::VirtioDevice>(host.console);
  };
  return vhost_user_daemon::run(program, argc, argv);
}
