// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <linux/i2c.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_i2c/adapter.h"

namespace vmm::virtio_i2c {

/// One SMBus command of the kernel's interface: what I2C_SMBUS takes.
struct SmbusCommand {
  Address address;
  std::uint8_t read_write = I2C_SMBUS_WRITE;
  std::uint8_t command = 0;
  std::uint32_t size = I2C_SMBUS_QUICK;
  i2c_smbus_data data{};
};

/// The command that looks on the wire as `messages` do. `functions`: the adapter's (I2C_FUNCS).
/// Errors: ENOTSUP when there is none, or none that the adapter can do.
Result<SmbusCommand> to_smbus(std::span<const Message> messages, unsigned long functions);

/// Fills `to` with what the command has read. Errors: EIO for a block of another length.
Result<void> take_answer(const SmbusCommand& command, std::span<std::byte> to);

}  // namespace vmm::virtio_i2c
