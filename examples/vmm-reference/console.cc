// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "output_file.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/pseudo_terminal.h"

namespace vmm::reference {
namespace {

constexpr std::byte kCtrlA{0x01};

}  // namespace

Outcome<std::unique_ptr<Console>> Console::open(std::string_view option,
                                                const ConsoleConfig& config, Terminal terminal) {
  std::unique_ptr<Console> console(new Console(config));
  switch (config.mode) {
    case ConsoleConfig::Mode::kOff:
    case ConsoleConfig::Mode::kNull:
      break;
    case ConsoleConfig::Mode::kTty:
      VMM_TRY_DO(console->open_tty(option, terminal));
      break;
    case ConsoleConfig::Mode::kPty:
      VMM_TRY_DO(console->open_pty(option));
      break;
    case ConsoleConfig::Mode::kFile:
      VMM_TRY_DO(console->open_file(option, config.path));
      break;
    case ConsoleConfig::Mode::kSocket:
      VMM_TRY_DO(console->open_socket(option, config.path));
      break;
  }
  return console;
}

Outcome<void> Console::open_tty(std::string_view option, Terminal terminal) {
  VMM_STEP(std::string(option) + ": standard output", output_, sys_util::duplicate(STDOUT_FILENO));
  slow_ = true;
  if (terminal == Terminal::kShared) return {};
  const bool interactive = ::isatty(STDIN_FILENO) == 1;
  if (interactive) input_ = STDIN_FILENO;
  // Input decides the mode of the terminal; without any, the output's terminal is made raw, so
  // that the guest's line ends arrive as they are.
  VMM_STEP(std::string(option) + ": terminal", raw_,
           sys_util::RawTerminal::enter(interactive ? STDIN_FILENO : output_.get()));
  return {};
}

Outcome<void> Console::open_pty(std::string_view option) {
  const std::string context = std::string(option) + ": pty";
  VMM_STEP(context, auto pty, sys_util::PseudoTerminal::open());
  pty_path_ = std::move(pty.path);
  pty_peer_ = std::move(pty.terminal);
  output_ = std::move(pty.controller);
  return keep_output(std::string(option) + ": " + pty_path_);
}

// The console has one end of a stream, as it has one of a pty; the relay, which never waits, has
// the other.
Outcome<void> Console::open_socket(std::string_view option, const std::string& path) {
  const std::string context = std::string(option) + ": " + path;
  VMM_STEP(context, auto listener, sys_util::UnixListener::create(path));
  listener_.emplace(std::move(listener));
  VMM_STEP(context, auto ends, sys_util::unix_socket_pair());
  output_ = std::move(ends.first);
  relay_end_ = std::move(ends.second);
  return keep_output(context);
}

Outcome<void> Console::keep_output(const std::string& context) {
  VMM_STEP_DO(context, sys_util::set_nonblocking(output_.get()));
  VMM_STEP(context, UniqueFd output, sys_util::duplicate(output_.get()));
  kept_output_.emplace(std::move(output));
  input_ = output_.get();
  return {};
}

Outcome<event_manager::Registration> Console::watch_output(event_manager::EventLoop& loop) {
  if (!kept_output_) return event_manager::Registration();
  if (relay_end_) {
    VMM_STEP("socket", relay_, SocketRelay::create(std::move(relay_end_), *listener_, loop));
  }
  // On changes only: a pty without a backlog is writable all the time.
  VMM_STEP("pty", auto registration,
           loop.add(kept_output_->poll_fd(), event_manager::kWritable | sys_util::kOnChange,
                    [this](event_manager::EventSet) { kept_output_->process(); }));
  return registration;
}

// A file that exists is left as it is until begin().
Outcome<void> Console::open_file(std::string_view option, const std::string& path) {
  file_path_ = path;
  auto file = open_output(path, O_CREAT | O_EXCL, 0666);
  file_is_new_ = file.has_value();
  if (!file && file.error().is_os(EEXIST)) file = open_output(path, 0);
  VMM_STEP(std::string(option) + ": " + path, output_, std::move(file));
  struct stat status{};
  slow_ = ::fstat(output_.get(), &status) != 0 || !S_ISREG(status.st_mode);  // as a FIFO
  return {};
}

Console::~Console() {
  if (file_is_new_) ::unlink(file_path_.c_str());
}

void Console::begin() {
  if (file_path_.empty()) return;
  (void)!::ftruncate(output_.get(), 0);  // fails for what is no regular file, and then rightly so
  file_path_.clear();
  file_is_new_ = false;
}

std::size_t Console::write(std::span<const std::byte> bytes) {
  if (kept_output_) return kept_output_->write(bytes);
  if (!output_) return bytes.size();
  return slow_ && !patient_.load() ? write_ready(bytes) : write_all(bytes);
}

std::size_t Console::write_all(std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::write(output_.get(), bytes.data() + done, bytes.size() - done);
    if (n > 0) {
      done += static_cast<std::size_t>(n);
    } else {
      // The reader is gone or the disk is full; or (EINTR) the vCPU is to stop while the reader
      // makes it wait. The device counts the rest as lost.
      break;
    }
  }
  return done;
}

// Terminals and pipes are writable from some room on (a pipe from 4096 bytes, a terminal from 256):
// so much does not make us wait.
std::size_t Console::write_ready(std::span<const std::byte> bytes) {
  constexpr std::size_t kRoom = 256;
  if (!slow_) return write(bytes);
  std::size_t done = 0;
  while (done < bytes.size()) {
    pollfd ready{.fd = output_.get(), .events = POLLOUT, .revents = 0};
    if (::poll(&ready, 1, 0) <= 0) break;
    const std::size_t part = std::min(kRoom, bytes.size() - done);
    const std::size_t written = write_all(bytes.subspan(done, part));
    done += written;
    if (written != part) return bytes.size();  // the reader is gone: there is nobody to wait for
  }
  return done;
}

std::size_t Console::read_input(std::span<std::byte> bytes) {
  const ssize_t n = ::read(input_, bytes.data(), bytes.size());
  if (n > 0) {
    const auto read = bytes.first(static_cast<std::size_t>(n));
    return escape_ ? filter_escape(read) : read.size();
  }
  // EIO of a pty: its peer is closed, but may be opened again; we hold one peer, so it is rare.
  if (n == 0 || (errno != EINTR && errno != EAGAIN)) at_end_ = true;
  return 0;
}

// Ctrl-a x asks to quit, Ctrl-a Ctrl-a is one Ctrl-a, and any other pair passes as it is typed but
// without the Ctrl-a. Works in place and returns how many bytes are left.
std::size_t Console::filter_escape(std::span<std::byte> bytes) {
  std::size_t kept = 0;
  for (const std::byte byte : bytes) {
    if (!escape_seen_ && byte == kCtrlA) {
      escape_seen_ = true;
      continue;
    }
    if (escape_seen_ && (byte == std::byte{'x'} || byte == std::byte{'X'})) quit_ = true;
    escape_seen_ = false;
    if (!quit_) bytes[kept++] = byte;
  }
  return kept;
}

}  // namespace vmm::reference
