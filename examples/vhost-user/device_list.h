// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The option --device-list of the daemons for boards.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace vmm::vhost_user_daemon {

/// A bus, and the devices on it that the guest may use.
struct I2cBus {
  std::optional<unsigned> host;         ///< N of /dev/i2c-N; nullopt: a simulated one
  std::vector<std::uint8_t> addresses;  ///< of 7 bits, or what is no address
};

/// "1:32:64,2:0x21,sim:80": buses with their addresses, in decimal or as 0x hexadecimal.
/// nullopt: the text is something else.
std::optional<std::vector<I2cBus>> parse_i2c_list(std::string_view text);

struct GpioChip {
  std::optional<unsigned> host;       ///< N of /dev/gpiochipN; nullopt: a simulated one
  std::uint16_t simulated_lines = 0;  ///< of a simulated one; more than 0
};

/// "0" for /dev/gpiochip0, "sim:8" for a simulated chip with 8 lines. nullopt: something else.
std::optional<GpioChip> parse_gpio_list(std::string_view text);

}  // namespace vmm::vhost_user_daemon
