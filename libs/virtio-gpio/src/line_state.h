// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "messages.h"
#include "vmm/virtio_gpio/chip.h"

namespace vmm::virtio_gpio {

/// What the driver made of a line.
struct LineState {
  Direction direction = Direction::kNone;
  bool taken = false;   ///< of the chip
  bool output = false;  ///< what it is as an output
  IrqType type = IrqType::kNone;
  bool latched = false;  ///< an edge came while the line was masked

  friend bool operator==(const LineState&, const LineState&) = default;
};

/// The type of an interrupt with this number; nullopt when there is none.
std::optional<IrqType> irq_type_of(std::uint32_t value);

/// The lines as bytes, four for each: direction, output, type of its interrupt, latched.
std::vector<std::byte> bytes_of_lines(std::span<const LineState> lines);
/// The other way round, for so many lines; nullopt for what is not the bytes of lines that a driver
/// can have made.
std::optional<std::vector<LineState>> lines_of_bytes(std::span<const std::byte> bytes,
                                                     std::size_t lines);

}  // namespace vmm::virtio_gpio
