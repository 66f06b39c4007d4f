// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace vmm::sys_util {

WindowSize window_size_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

Result<TerminalSettings> TerminalSettings::read(int fd) {
  static_assert(sizeof(termios) <= kTermiosBytes);
  termios now{};
  if (::tcgetattr(fd, &now) != 0) {
    if (errno == ENOTTY) return TerminalSettings();
    return fail(Error::from_errno("tcgetattr"));
  }
  TerminalSettings settings;
  settings.fd_ = fd;
  std::memcpy(settings.saved_.data(), &now, sizeof(now));
  return settings;
}

void TerminalSettings::restore() const noexcept {
  if (!is_terminal()) return;
  const int saved_errno = errno;  // this may run in a signal handler
  termios before{};
  std::memcpy(&before, saved_.data(), sizeof(before));
  while (::tcsetattr(fd_, TCSANOW, &before) != 0 && errno == EINTR) {
  }
  errno = saved_errno;
}

Result<void> TerminalSettings::enter_raw_mode() const {
  if (!is_terminal()) return {};
  termios raw{};
  std::memcpy(&raw, saved_.data(), sizeof(raw));
  ::cfmakeraw(&raw);
  if (::tcsetattr(fd_, TCSANOW, &raw) != 0) return fail(Error::from_errno("tcsetattr"));
  return {};
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : before_(std::exchange(other.before_, TerminalSettings())) {}

RawTerminal& RawTerminal::operator=(RawTerminal&& other) noexcept {
  if (this != &other) {
    before_.restore();
    before_ = std::exchange(other.before_, TerminalSettings());
  }
  return *this;
}

Result<RawTerminal> RawTerminal::enter(int fd) {
  VMM_TRY(const TerminalSettings before, TerminalSettings::read(fd));
  VMM_TRY_DO(before.enter_raw_mode());
  return RawTerminal(before);
}

}  // namespace vmm::sys_util
