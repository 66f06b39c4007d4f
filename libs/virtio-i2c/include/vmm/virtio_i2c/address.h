// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace vmm::virtio_i2c {

/// The address of a device on an I2C bus.
struct Address {
  std::uint16_t number = 0;  ///< without the bit for reading and writing
  bool ten_bit = false;      ///< on the wire such an address differs from each of 7 bits

  /// Whether a driver can name it: 7 bits without 0x78 to 0x7f, which I2C reserves and the format
  /// below takes for 10 bits; or 10 bits.
  [[nodiscard]] bool is_valid() const { return number <= (ten_bit ? 0x3ff : 0x77); }

  /// From the field `addr` of a request: virtio 1.3, 5.16.6.1. nullopt: it is none.
  [[nodiscard]] static std::optional<Address> from_wire(std::uint16_t field);
  /// The field. Precondition: is_valid().
  [[nodiscard]] std::uint16_t to_wire() const;

  friend auto operator<=>(const Address&, const Address&) = default;
};

}  // namespace vmm::virtio_i2c
