// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/address.h"

namespace vmm::virtio_i2c {
namespace {

// The low byte of a 10-bit address: 1 1 1 1 0 A9 A8 0; the high byte is A7 to A0.
constexpr std::uint16_t kTenBitMask = 0xf9;
constexpr std::uint16_t kTenBitMark = 0xf0;

}  // namespace

std::optional<Address> Address::from_wire(std::uint16_t field) {
  if ((field & kTenBitMask) == kTenBitMark) {
    return Address{.number = static_cast<std::uint16_t>((field & 6) << 7 | field >> 8),
                   .ten_bit = true};
  }
  const Address address{.number = static_cast<std::uint16_t>(field >> 1)};
  if ((field & 1) != 0 || !address.is_valid()) return std::nullopt;
  return address;
}

std::uint16_t Address::to_wire() const {
  if (!ten_bit) return static_cast<std::uint16_t>(number << 1);
  return static_cast<std::uint16_t>((number & 0xff) << 8 | kTenBitMark | (number >> 7 & 6));
}

}  // namespace vmm::virtio_i2c
