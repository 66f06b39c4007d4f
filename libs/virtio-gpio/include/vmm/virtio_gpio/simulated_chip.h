// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_gpio/chip.h"

namespace vmm::virtio_gpio {

/// GPIO lines for tests and for hosts without them.
///
/// An output has the value that it was given. Any other line has the value of its partner, if that
/// is an output; else the one that drive() gave it, low at first. Partners are joined by a wire:
/// lines 0 and 1, 2 and 3, and so on, if Options::wired.
///
/// Threads: any, several at once.
class SimulatedChip final : public Chip {
 public:
  /// What the chip has.
  struct Options {
    std::uint16_t lines = 8;         ///< how many, from number 0 on
    bool wired = true;               ///< lines 0 and 1, 2 and 3, ... are partners
    std::vector<std::string> names;  ///< of the first lines; empty ones, and the rest, have none
  };

  /// Errors: EINVAL for no line, or for more names than lines; those of eventfd(2).
  static Result<std::shared_ptr<SimulatedChip>> create(Options options);

  /// What is at the pin from outside. Precondition: line < lines().
  void drive(std::uint16_t line, bool high);
  /// What the line is used for. Precondition: line < lines().
  [[nodiscard]] Direction direction(std::uint16_t line) const;

  [[nodiscard]] std::uint16_t lines() const override { return options_.lines; }
  [[nodiscard]] std::string name(std::uint16_t line) const override;
  Result<void> set_direction(std::uint16_t line, Direction direction, bool high) override;
  Result<bool> value(std::uint16_t line) override;
  /// Errors: EPERM for a line that is no output.
  Result<void> set_value(std::uint16_t line, bool high) override;
  /// Errors: EPERM for a line that is no input.
  Result<void> watch(std::uint16_t line, Edges edges) override;
  [[nodiscard]] int edges_fd() const override { return wake_.fd(); }
  std::size_t take_edges(std::span<std::uint16_t> lines) override;

 private:
  struct Line {
    Direction direction = Direction::kNone;
    bool output = false;
    bool driven = false;
    bool level = false;  ///< the value as it was when something changed last
    bool edge = false;   ///< one of `watched` is to be taken
    Edges watched = Edges::kNone;
  };

  SimulatedChip(Options options, sys_util::EventFd wake);
  [[nodiscard]] std::size_t partner(std::size_t line) const;
  [[nodiscard]] bool level(std::size_t line) const VMM_REQUIRES(mutex_);
  void settle(std::size_t line) VMM_REQUIRES(mutex_);
  void settle_one(Line& line, bool level) VMM_REQUIRES(mutex_);

  const Options options_;
  const sys_util::EventFd wake_;
  mutable Mutex mutex_;
  std::vector<Line> lines_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_gpio
