// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_i2c/address.h"

namespace vmm::virtio_i2c {

/// One segment of an I2C transaction: what is between a START and the next START or STOP.
struct Message {
  Address address;            ///< of the device on the bus
  bool read = false;          ///< from the device on the bus
  std::span<std::byte> data;  ///< may be empty: only the address and its acknowledgement
};

/// An I2C bus and who drives it: what a virtio device hands its drivers' transactions to.
///
/// Threads: any, several at once, as one bus may serve several virtio devices.
class Adapter {
 public:
  ///@{
  /// What one transaction may hold, and each message of it, as with Linux' /dev/i2c-N.
  static constexpr std::size_t kMaxMessages = 42;
  static constexpr std::size_t kMaxMessageBytes = 8192;
  ///@}

  virtual ~Adapter() = default;
  Adapter(const Adapter&) = delete;
  Adapter& operator=(const Adapter&) = delete;

  /// Executes `messages` as one transaction, with one STOP at its end; blocks meanwhile. Fills
  /// all of `data` of those that read; does not write to the others.
  /// Preconditions: 1 to kMaxMessages messages of at most kMaxMessageBytes bytes.
  /// Errors: any; then nothing is known of how far it went, nor of `data` of those that read.
  virtual Result<void> transfer(std::span<const Message> messages) = 0;

 protected:
  Adapter() = default;
};

}  // namespace vmm::virtio_i2c
