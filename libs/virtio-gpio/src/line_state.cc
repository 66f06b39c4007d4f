// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "line_state.h"

namespace vmm::virtio_gpio {
namespace {

constexpr std::size_t kLineBytes = 4;

std::optional<LineState> line_of(std::span<const std::byte> bytes) {
  const auto number = [&](std::size_t i) { return std::to_integer<std::uint8_t>(bytes[i]); };
  const auto type = irq_type_of(number(2));
  if (number(0) > 2 || number(1) > 1 || !type || number(3) > 1) return std::nullopt;
  const LineState line{.direction = static_cast<Direction>(number(0)),
                       .taken = number(0) != 0,
                       .output = number(1) != 0,
                       .type = *type,
                       .latched = number(3) != 0};
  const bool has_irq = line.type != IrqType::kNone;
  if (has_irq && line.direction != Direction::kIn) return std::nullopt;
  if (line.latched && !has_irq) return std::nullopt;
  return line;
}

}  // namespace

std::optional<IrqType> irq_type_of(std::uint32_t value) {
  if (value > 4 && value != 8) return std::nullopt;
  return static_cast<IrqType>(value);
}

std::vector<std::byte> bytes_of_lines(std::span<const LineState> lines) {
  std::vector<std::byte> bytes;
  bytes.reserve(lines.size() * kLineBytes);
  for (const LineState& line : lines) {
    bytes.push_back(static_cast<std::byte>(line.direction));
    bytes.push_back(std::byte{line.output});
    bytes.push_back(static_cast<std::byte>(line.type));
    bytes.push_back(std::byte{line.latched});
  }
  return bytes;
}

std::optional<std::vector<LineState>> lines_of_bytes(std::span<const std::byte> bytes,
                                                     std::size_t lines) {
  if (bytes.size() != lines * kLineBytes) return std::nullopt;
  std::vector<LineState> states;
  states.reserve(lines);
  for (; !bytes.empty(); bytes = bytes.subspan(kLineBytes)) {
    const auto line = line_of(bytes);
    if (!line) return std::nullopt;
    states.push_back(*line);
  }
  return states;
}

}  // namespace vmm::virtio_gpio
