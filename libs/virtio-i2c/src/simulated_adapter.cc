// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/simulated_adapter.h"

#include <cerrno>

namespace vmm::virtio_i2c {
namespace {

Unexpected<Error> no_chip() { return fail(Error::os(ENXIO, "simulated I2C chip")); }

}  // namespace

void SimulatedAdapter::Chip::write(std::span<const std::byte> data) {
  if (data.empty()) return;
  position = std::to_integer<std::uint8_t>(data[0]);
  for (const std::byte byte : data.subspan(1)) bytes[position++] = byte;
}

void SimulatedAdapter::Chip::read(std::span<std::byte> data) {
  for (std::byte& byte : data) byte = bytes[position++];
}

Result<std::shared_ptr<SimulatedAdapter>> SimulatedAdapter::create(std::span<const Address> chips) {
  std::shared_ptr<SimulatedAdapter> adapter(new SimulatedAdapter);
  const MutexLock lock(adapter->mutex_);
  for (const Address& chip : chips) {
    if (!chip.is_valid() || !adapter->chips_.emplace(chip, Chip{}).second) {
      return fail(Error::os(EINVAL, "address of a simulated I2C chip"));
    }
  }
  return adapter;
}

Result<void> SimulatedAdapter::transfer(std::span<const Message> messages) {
  const MutexLock lock(mutex_);
  for (const Message& message : messages) {
    const auto chip = chips_.find(message.address);
    if (chip == chips_.end()) return no_chip();
    if (message.read) {
      chip->second.read(message.data);
    } else {
      chip->second.write(message.data);
    }
  }
  return {};
}

Result<std::uint8_t> SimulatedAdapter::peek(Address chip, std::uint8_t position) const {
  const MutexLock lock(mutex_);
  const auto found = chips_.find(chip);
  if (found == chips_.end()) return no_chip();
  return std::to_integer<std::uint8_t>(found->second.bytes[position]);
}

Result<void> SimulatedAdapter::poke(Address chip, std::uint8_t position, std::uint8_t value) {
  const MutexLock lock(mutex_);
  const auto found = chips_.find(chip);
  if (found == chips_.end()) return no_chip();
  found->second.bytes[position] = std::byte{value};
  return {};
}

}  // namespace vmm::virtio_i2c
