// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/serial.h"

#include <algorithm>
#include <utility>

namespace vmm::vm_superio {

void Serial::read(std::uint64_t offset, std::span<std::byte> data) {
  bool tell = false;
  {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = std::byte{core_.read(offset + i)};
    tell = take_starved();
  }
  if (tell) listener_->input_space();
}

void Serial::write(std::uint64_t offset, std::span<const std::byte> data) {
  bool tell = false;
  {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0; i < data.size(); ++i) {
      core_.write(offset + i, std::to_integer<std::uint8_t>(data[i]));
    }
    tell = take_starved();
  }
  if (tell) listener_->input_space();
}

/// Whether the listener is owed a call: once, when the FIFO has been emptied after a refusal, so
/// that a source is woken for a FIFO's worth of bytes and not for each.
bool Serial::take_starved() {
  if (!starved_ || core_.space() != SerialCore::kFifoSize) [[likely]]
    return false;
  starved_ = false;
  return listener_ != nullptr;
}

std::size_t Serial::put(std::span<const std::byte> bytes) {
  const std::size_t taken = core_.enqueue(bytes);
  if (taken < bytes.size()) starved_ = true;
  return taken;
}

std::size_t Serial::look_for_space() {
  const std::size_t space = core_.space();
  if (space == 0) starved_ = true;
  return space;
}

std::size_t Serial::enqueue(std::span<const std::byte> bytes) {
  const MutexLock lock(mutex_);
  return put(bytes);
}

std::size_t Serial::space() {
  const MutexLock lock(mutex_);
  return look_for_space();
}

std::optional<std::size_t> Serial::try_enqueue(std::span<const std::byte> bytes) {
  if (!mutex_.try_lock()) return std::nullopt;
  const std::size_t taken = put(bytes);
  mutex_.unlock();
  return taken;
}

std::optional<std::size_t> Serial::try_space() {
  if (!mutex_.try_lock()) return std::nullopt;
  const std::size_t space = look_for_space();
  mutex_.unlock();
  return space;
}

void Serial::flush() {
  const MutexLock lock(mutex_);
  core_.flush();
}

std::uint64_t Serial::lost_bytes() const {
  const MutexLock lock(mutex_);
  return core_.lost_bytes();
}

SerialState Serial::state() const {
  const MutexLock lock(mutex_);
  return core_.state();
}

Result<void, StateError> Serial::restore(const SerialState& state) {
  const MutexLock lock(mutex_);
  return core_.restore(state);
}

}  // namespace vmm::vm_superio
