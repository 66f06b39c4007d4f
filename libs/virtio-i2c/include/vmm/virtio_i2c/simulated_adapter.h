// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/virtio_i2c/adapter.h"

namespace vmm::virtio_i2c {

/// A bus with memory chips on it, for tests and for hosts without I2C.
///
/// Each chip has 256 bytes, zeros at first, and a position. The first byte written in a message
/// sets the position; each further byte is stored there, each byte read comes from there, and the
/// position goes on by one, from 255 to 0. So it is with small EEPROMs and with the registers of
/// most sensors. Where there is no chip nobody acknowledges: ENXIO, and the transaction ends.
///
/// Threads: any, several at once.
class SimulatedAdapter final : public Adapter {
 public:
  static constexpr std::size_t kChipBytes = 256;  ///< of each chip

  /// Errors: EINVAL for an address that is not valid or there twice.
  static Result<std::shared_ptr<SimulatedAdapter>> create(std::span<const Address> chips);

  Result<void> transfer(std::span<const Message> messages) override;

  /// The byte at a position of a chip. Errors: ENXIO when there is no such chip.
  Result<std::uint8_t> peek(Address chip, std::uint8_t position) const;
  /// Stores a byte there. Errors: as peek().
  Result<void> poke(Address chip, std::uint8_t position, std::uint8_t value);

 private:
  struct Chip {
    std::array<std::byte, kChipBytes> bytes{};
    std::uint8_t position = 0;

    void write(std::span<const std::byte> data);
    void read(std::span<std::byte> data);
  };

  SimulatedAdapter() = default;

  mutable Mutex mutex_;
  std::map<Address, Chip> chips_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_i2c
