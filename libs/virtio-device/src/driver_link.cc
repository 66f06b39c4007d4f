// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "driver_link.h"

#include <algorithm>

namespace vmm::virtio_device::detail {

DriverLink::DriverLink(VirtioDevice& device, InterruptSink& sink)
    : device_(device),
      sink_(sink),
      config_bytes_(device.config_bytes()),
      config_(config_bytes_),
      fresh_(config_bytes_) {
  device_.read_config(config_);
}

void DriverLink::config_changed() {
  const MutexLock lock(mutex_);
  if (!open_) return;
  refresh();
  ++generation_;
  sink_.config_interrupt();
}

void DriverLink::needs_reset() {
  const MutexLock lock(mutex_);
  if (!open_) return;
  needs_reset_.store(true, std::memory_order_release);
  sink_.config_interrupt();
}

void DriverLink::did_not_start() {
  const MutexLock lock(mutex_);
  needs_reset_.store(true, std::memory_order_release);
  sink_.config_interrupt();
}

void DriverLink::open() {
  const MutexLock lock(mutex_);
  gave_fds_.store(false, std::memory_order_relaxed);
  open_ = true;
}

void DriverLink::close() {
  const MutexLock lock(mutex_);
  open_ = false;
  needs_reset_.store(false, std::memory_order_release);
}

std::size_t DriverLink::inside(std::uint64_t offset, std::size_t bytes) const {
  if (offset >= config_bytes_) return 0;
  return std::min<std::uint64_t>(bytes, config_bytes_ - offset);
}

bool DriverLink::refresh() {
  device_.read_config(fresh_);
  if (fresh_ == config_) return false;
  config_.swap(fresh_);
  return true;
}

// Not all changes reach the driver by config_changed(): not those of a device that is not active,
// nor those that follow from a request, as with plugged memory. They are looked for by those who
// read, of whom not all ask for the generation first. Those who do see that it is another one.
void DriverLink::read_config(std::uint64_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  if (refresh()) ++generation_;
  const std::size_t bytes = inside(offset, data.size());
  std::copy_n(config_.begin() + static_cast<std::ptrdiff_t>(bytes == 0 ? 0 : offset), bytes,
              data.begin());
}

void DriverLink::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  const std::size_t bytes = inside(offset, data.size());
  if (bytes == 0) return;
  device_.write_config(offset, data.first(bytes));
  refresh();  // what the driver itself changed is no new generation
}

std::uint32_t DriverLink::generation() {
  const MutexLock lock(mutex_);
  if (refresh()) ++generation_;
  return generation_;
}

}  // namespace vmm::virtio_device::detail
