// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "serial_input.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "vmm/event_manager/testing/run_until_idle.h"
#include "vmm/sys_util/pseudo_terminal.h"

namespace vmm::reference {
namespace {

using event_manager::EventLoop;
using event_manager::testing::run_until_idle;

/// A terminal in the place of standard input, for as long as this lives.
class Keyboard {
 public:
  Keyboard() {
    before_.reset(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
    REQUIRE(::dup2(pty_.terminal.get(), STDIN_FILENO) == STDIN_FILENO);
    pty_.terminal.reset();
  }
  ~Keyboard() {
    if (before_) (void)::dup2(before_.get(), STDIN_FILENO);
  }

  void type(std::string_view text) {
    REQUIRE(::write(pty_.controller.get(), text.data(), text.size()) ==
            static_cast<ssize_t>(text.size()));
  }
  void hang_up() { pty_.controller.reset(); }

 private:
  UniqueFd before_;
  sys_util::PseudoTerminal pty_ = *sys_util::PseudoTerminal::open();
};

/// A port with so much room, which others may have.
struct Port {
  std::optional<std::size_t> try_space() { return busy ? std::nullopt : std::optional(room); }
  std::optional<std::size_t> try_enqueue(std::span<const std::byte> bytes) {
    if (busy) return std::nullopt;
    const std::size_t taken = std::min(room, bytes.size());
    for (const std::byte byte : bytes.first(taken)) got += static_cast<char>(byte);
    room -= taken;
    return taken;
  }

  std::size_t room = 0;
  bool busy = false;
  std::string got;
};

struct Typing {
  Typing() { REQUIRE(input.start(port)); }
  /// Runs the loop until `done()`: what is typed takes its time through the kernel.
  template <class Done>
  bool until(Done&& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!done() && std::chrono::steady_clock::now() < end) {
      REQUIRE(loop.run_once(std::chrono::milliseconds(10)).has_value());
    }
    return done();
  }
  bool comes(std::string_view text) {
    return until([&] { return port.got == text; });
  }
  /// Twice, as a round of nothing but posted functions counts as idle.
  bool settles() { return run_until_idle(loop, 100) && run_until_idle(loop, 100); }

  Keyboard keyboard;
  std::unique_ptr<Console> console =
      *Console::open("--serial", {.mode = ConsoleConfig::Mode::kTty, .path = {}, .escape = false});
  EventLoop loop = *EventLoop::create();
  SerialInput input{*console, loop, [] {}};
  Port port;
};

TEST_CASE("what is typed comes to the port as far as it has room", "[serial]") {
  Typing typing;
  typing.keyboard.type("abcdef");
  typing.port.room = 4;
  CHECK(typing.comes("abcd"));
  CHECK(typing.settles());
  CHECK(typing.port.got == "abcd");
  typing.port.room = 64;
  typing.input.input_space();
  CHECK(typing.comes("abcdef"));
  typing.keyboard.type("g");
  CHECK(typing.comes("abcdefg"));
  CHECK(typing.settles());
}

TEST_CASE("a terminal that hangs up does not keep the loop busy while the port is full",
          "[serial]") {
  Typing typing;
  typing.port.room = 1;
  typing.keyboard.type("abcdef");
  CHECK(typing.comes("a"));
  typing.keyboard.hang_up();
  CHECK(typing.settles());
  CHECK_FALSE(typing.console->at_end());
  typing.port.room = 64;
  typing.input.input_space();
  CHECK(typing.until([&] { return typing.console->at_end(); }));
}

TEST_CASE("a port that somebody has is not waited for", "[serial]") {
  Typing typing;
  typing.keyboard.type("abc");
  typing.port.room = 64;
  typing.port.busy = true;
  CHECK(typing.settles());
  CHECK(typing.port.got.empty());
  typing.port.busy = false;
  CHECK(typing.comes("abc"));
}

}  // namespace
}  // namespace vmm::reference
