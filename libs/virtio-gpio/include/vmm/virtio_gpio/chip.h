// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "vmm/base/result.h"

namespace vmm::virtio_gpio {

/// What a line is used for; numbers as in virtio 1.3, 5.18.6.
enum class Direction : std::uint8_t { kNone = 0, kOut = 1, kIn = 2 };

/// Changes of an input that are of interest.
enum class Edges : std::uint8_t { kNone = 0, kRising = 1, kFalling = 2, kBoth = 3 };

/// GPIO lines and who drives them: what a virtio device hands its driver's requests to.
///
/// Lines are numbered from 0 to lines() - 1; all that take a line have its being one as their
/// precondition. A line is nobody's until set_direction() or value() takes it, and again after
/// Direction::kNone.
///
/// Threads: one caller at a time.
class Chip {
 public:
  virtual ~Chip() = default;
  Chip(const Chip&) = delete;
  Chip& operator=(const Chip&) = delete;

  /// How many there are. Constant.
  [[nodiscard]] virtual std::uint16_t lines() const = 0;
  /// What a line is for; empty: unknown. Constant.
  [[nodiscard]] virtual std::string name(std::uint16_t line) const = 0;

  /// Takes a line as an input, or as an output that is `high` or low at once; or lets it go. Ends
  /// watching it. Errors: any; the line is as before.
  virtual Result<void> set_direction(std::uint16_t line, Direction direction, bool high) = 0;
  /// Whether a line is high, whatever its direction. Errors: any; the line is as before.
  virtual Result<bool> value(std::uint16_t line) = 0;
  /// Precondition: an output. Errors: any.
  virtual Result<void> set_value(std::uint16_t line, bool high) = 0;

  /// Reports these edges from now on, and none of before. Precondition: an input.
  /// Errors: any, for example as the chip cannot do it; the line is as before.
  virtual Result<void> watch(std::uint16_t line, Edges edges) = 0;
  /// Readable while there are edges to take. Constant.
  [[nodiscard]] virtual int edges_fd() const = 0;
  /// Fills the front of `lines` with lines that had an edge since they were last taken, each maybe
  /// several times, and returns how many. Does not block; what finds no room is for the next call.
  virtual std::size_t take_edges(std::span<std::uint16_t> lines) = 0;

 protected:
  Chip() = default;
};

}  // namespace vmm::virtio_gpio
