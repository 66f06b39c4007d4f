// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_list.h"

#include <charconv>

namespace vmm::vhost_user_daemon {
namespace {

constexpr std::string_view kSimulated = "sim";

/// What is before the next `separator`, which goes from `text` too. nullopt: nothing is left.
std::optional<std::string_view> next_part(std::optional<std::string_view>& text, char separator) {
  if (!text) return std::nullopt;
  const std::size_t end = text->find(separator);
  const std::string_view part = text->substr(0, end);
  text = end == std::string_view::npos ? std::nullopt : std::optional(text->substr(end + 1));
  return part;
}

template <class T>
std::optional<T> number(std::string_view text) {
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  T value{};
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
  return error == std::errc() && at == end ? std::optional(value) : std::nullopt;
}

std::optional<I2cBus> parse_bus(std::string_view text) {
  I2cBus bus;
  std::optional<std::string_view> rest = text;
  const std::string_view name = *next_part(rest, ':');
  if (name != kSimulated) {
    bus.host = number<unsigned>(name);
    if (!bus.host) return std::nullopt;
  }
  while (const auto part = next_part(rest, ':')) {
    const auto address = number<std::uint8_t>(*part);
    if (!address) return std::nullopt;
    bus.addresses.push_back(*address);
  }
  return bus.addresses.empty() ? std::nullopt : std::optional(std::move(bus));
}

}  // namespace

std::optional<std::vector<I2cBus>> parse_i2c_list(std::string_view text) {
  std::vector<I2cBus> buses;
  std::optional<std::string_view> rest = text;
  while (const auto part = next_part(rest, ',')) {
    auto bus = parse_bus(*part);
    if (!bus) return std::nullopt;
    buses.push_back(std::move(*bus));
  }
  return buses;
}

std::optional<GpioChip> parse_gpio_list(std::string_view text) {
  std::optional<std::string_view> rest = text;
  const std::string_view name = *next_part(rest, ':');
  GpioChip chip;
  if (name != kSimulated) {
    chip.host = number<unsigned>(name);
    return chip.host && !rest ? std::optional(chip) : std::nullopt;
  }
  const auto lines = rest ? number<std::uint16_t>(*rest) : std::nullopt;
  if (!lines || *lines == 0) return std::nullopt;
  chip.simulated_lines = *lines;
  return chip;
}

}  // namespace vmm::vhost_user_daemon
