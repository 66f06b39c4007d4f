// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/terminal.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/pseudo_terminal.h"

using namespace vmm;
using namespace vmm::sys_util;

namespace {

termios settings_of(int fd) {
  termios settings{};
  REQUIRE(::tcgetattr(fd, &settings) == 0);
  return settings;
}

bool is_raw(int fd) { return (settings_of(fd).c_lflag & (ICANON | ECHO | ISIG)) == 0; }

/// A pseudo-terminal in the usual, line-wise mode.
PseudoTerminal cooked_terminal() {
  PseudoTerminal pty = *PseudoTerminal::open();
  termios settings = settings_of(pty.terminal.get());
  settings.c_lflag |= ICANON | ECHO | ISIG;
  settings.c_oflag |= OPOST;
  REQUIRE(::tcsetattr(pty.terminal.get(), TCSANOW, &settings) == 0);
  return pty;
}

}  // namespace

TEST_CASE("a terminal is raw as long as the object lives") {
  const PseudoTerminal pty = cooked_terminal();
  const int fd = pty.terminal.get();
  const termios before = settings_of(fd);
  {
    const RawTerminal raw = *RawTerminal::enter(fd);
    REQUIRE(is_raw(fd));
  }
  REQUIRE_FALSE(is_raw(fd));
  const termios after = settings_of(fd);
  REQUIRE(std::memcmp(&before, &after, sizeof(before)) == 0);
}

TEST_CASE("a copy of the old settings restores the terminal on paths without destructors") {
  const PseudoTerminal pty = cooked_terminal();
  const int fd = pty.terminal.get();
  const RawTerminal raw = *RawTerminal::enter(fd);
  const TerminalSettings copy = raw.before();
  errno = 123;
  copy.restore();
  REQUIRE(errno == 123);
  REQUIRE_FALSE(is_raw(fd));
  REQUIRE(raw.before().enter_raw_mode().has_value());
  REQUIRE(is_raw(fd));
}

TEST_CASE("a raw terminal moves and is restored once") {
  const PseudoTerminal first = cooked_terminal();
  const PseudoTerminal second = cooked_terminal();
  RawTerminal raw = *RawTerminal::enter(first.terminal.get());
  RawTerminal moved = std::move(raw);
  REQUIRE(is_raw(first.terminal.get()));
  moved = *RawTerminal::enter(second.terminal.get());
  REQUIRE_FALSE(is_raw(first.terminal.get()));
  REQUIRE(is_raw(second.terminal.get()));
}

TEST_CASE("raw mode of what is no terminal does nothing") {
  const EventFd event = *EventFd::create();
  const RawTerminal raw = *RawTerminal::enter(event.fd());
  REQUIRE_FALSE(raw.before().is_terminal());
  REQUIRE(raw.before().enter_raw_mode().has_value());
  raw.before().restore();
}

TEST_CASE("raw mode of a descriptor that is not open is an error", "[hostile]") {
  REQUIRE(RawTerminal::enter(-1).error().is_os(EBADF));
}

TEST_CASE("the size of a terminal is seen at both of its ends") {
  const PseudoTerminal pty = *PseudoTerminal::open();
  REQUIRE(window_size_of(pty.controller.get()) == WindowSize{});
  winsize size{};
  size.ws_col = 100;
  size.ws_row = 40;
  REQUIRE(::ioctl(pty.terminal.get(), TIOCSWINSZ, &size) == 0);
  const WindowSize expected{.columns = 100, .rows = 40};
  REQUIRE(window_size_of(pty.terminal.get()) == expected);
  REQUIRE(window_size_of(pty.controller.get()) == expected);
  const EventFd no_terminal = *EventFd::create();
  REQUIRE(window_size_of(no_terminal.fd()) == WindowSize{});
}
