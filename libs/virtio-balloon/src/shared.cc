// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "shared.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "config.h"

namespace vmm::virtio_balloon {

void Balloon::Shared::set_target(std::uint32_t pages) {
  std::shared_ptr<virtio_device::Interrupt> interrupt;
  {
    const MutexLock lock(mutex_);
    if (target_ == pages) return;
    target_ = pages;
    interrupt = interrupt_;
  }
  if (interrupt != nullptr) interrupt->config_changed();
}

std::uint32_t Balloon::Shared::target() const {
  const MutexLock lock(mutex_);
  return target_;
}

std::uint32_t Balloon::Shared::actual() const {
  const MutexLock lock(mutex_);
  return actual_;
}

std::uint32_t Balloon::Shared::poison() const {
  const MutexLock lock(mutex_);
  return poison_;
}

void Balloon::Shared::read_config(std::span<std::byte> config) const {
  Config fields{};
  {
    const MutexLock lock(mutex_);
    fields.num_pages = Le32(target_);
    fields.actual = Le32(actual_);
    fields.poison_val = Le32(poison_);
  }
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

// Fields are written as a whole: 2.5.
void Balloon::Shared::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  if (data.size() != sizeof(Le32)) return;
  const auto value = load_le<std::uint32_t>(data.data());
  const MutexLock lock(mutex_);
  if (offset == offsetof(Config, actual)) actual_ = value;
  if (offset == offsetof(Config, poison_val)) poison_ = value;
}

void Balloon::Shared::attach(std::shared_ptr<virtio_device::Interrupt> interrupt) {
  const MutexLock lock(mutex_);
  interrupt_ = std::move(interrupt);
}

void Balloon::Shared::reset() {
  const MutexLock lock(mutex_);
  actual_ = 0;
  poison_ = 0;
  statistics_.reset();
  interrupt_.reset();
}

void Balloon::Shared::set_statistics(const Statistics& statistics) {
  const MutexLock lock(mutex_);
  statistics_ = statistics;
}

std::optional<Statistics> Balloon::Shared::statistics() const {
  const MutexLock lock(mutex_);
  return statistics_;
}

}  // namespace vmm::virtio_balloon
