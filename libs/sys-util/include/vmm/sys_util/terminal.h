// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"

namespace vmm::sys_util {

/// Columns and rows of a terminal; 0: not known.
struct WindowSize {
  ///@{
  /// Characters.
  std::uint16_t columns = 0;
  std::uint16_t rows = 0;
  ///@}

  friend bool operator==(const WindowSize&, const WindowSize&) = default;
};

/// The size of the terminal, of either end of a pseudo-terminal. Not known when `fd` is no
/// terminal.
[[nodiscard]] WindowSize window_size_of(int fd);

/// The saved settings of a terminal. Trivially copyable, so that a program can keep a copy where
/// its signal handler or atexit function finds it. Empty when default-constructed or when the
/// descriptor is not a terminal; every function is then a no-op.
class TerminalSettings {
 public:
  TerminalSettings() = default;

  /// Reads the settings of `fd`, which is remembered but not owned; it must stay open.
  /// Errors: the errno of tcgetattr(3), but not ENOTTY.
  static Result<TerminalSettings> read(int fd);

  /// Puts the settings back. Async-signal-safe; failures are ignored, as nothing is left to do.
  void restore() const noexcept;
  /// Switches the terminal to raw mode: bytes pass unchanged in both directions, without echo,
  /// line editing or signals from keys. Errors: the errno of tcsetattr(3).
  Result<void> enter_raw_mode() const;

  /// Whether settings were read, from a descriptor that is a terminal.
  [[nodiscard]] bool is_terminal() const { return fd_ >= 0; }

 private:
  static constexpr std::size_t kTermiosBytes = 64;

  int fd_ = -1;
  alignas(8) std::array<std::byte, kTermiosBytes> saved_{};  // a struct termios
};

/// Holds a terminal in raw mode and restores it on destruction. On a descriptor that is not a
/// terminal it does nothing.
class RawTerminal {
 public:
  RawTerminal() = default;
  ///@{
  /// The other one restores nothing afterwards; a terminal that was held here before is restored.
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&& other) noexcept;
  ///@}
  ~RawTerminal() { before_.restore(); }

  /// `fd` is borrowed for the life of the object.
  static Result<RawTerminal> enter(int fd);

  /// The settings from before, for paths that run no destructors (signals, exit()).
  [[nodiscard]] const TerminalSettings& before() const { return before_; }

 private:
  explicit RawTerminal(const TerminalSettings& before) : before_(before) {}

  TerminalSettings before_;
};

}  // namespace vmm::sys_util
