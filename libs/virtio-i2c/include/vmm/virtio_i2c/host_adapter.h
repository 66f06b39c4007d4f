// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_i2c/adapter.h"

namespace vmm::virtio_i2c {

/// An adapter of the host, through /dev/i2c-N.
///
/// An adapter that can do I2C gets whole transactions (I2C_RDWR). One that can do SMBus alone, such
/// as the kernel's i2c-stub, gets those that are an SMBus command on the wire: quick, byte, byte
/// data, word data, process call, block write, and I2C blocks of at most 32 bytes; the rest fails
/// with ENOTSUP. There, an address that a driver of the host's kernel uses fails with EBUSY; an
/// adapter that can do I2C does not ask.
///
/// Threads: as Adapter.
class HostAdapter final : public Adapter {
 public:
  /// Errors: those of open(2) and of I2C_FUNCS; ENOTSUP when the adapter can do neither.
  static Result<std::shared_ptr<HostAdapter>> open(const std::string& path);
  /// The same for /dev/i2c-`bus`.
  static Result<std::shared_ptr<HostAdapter>> open(unsigned bus);

  /// Errors: those of I2C_RDWR, I2C_SLAVE and I2C_SMBUS; ENOTSUP for what the adapter cannot do;
  /// EIO when it did less than all.
  Result<void> transfer(std::span<const Message> messages) override;

 private:
  HostAdapter(UniqueFd file, unsigned long functions)
      : file_(std::move(file)), functions_(functions) {}
  Result<void> transfer_i2c(std::span<const Message> messages);
  Result<void> transfer_smbus(std::span<const Message> messages);

  UniqueFd file_;
  unsigned long functions_;
  Mutex smbus_;  ///< the address that I2C_SLAVE sets, until the command is done
};

}  // namespace vmm::virtio_i2c
