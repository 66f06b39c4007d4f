// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/msix.h"

#include <algorithm>
#include <utility>

#include "vmm/base/endian.h"
#include "vmm/base/log.h"

namespace vmm::pci {
namespace {

constexpr std::size_t kWord = sizeof(std::uint32_t);
constexpr std::size_t kWordsPerEntry = Msix::kEntryBytes / kWord;

/// Accesses of one or two whole words.
bool is_defined(std::uint64_t offset, std::size_t bytes) {
  return (bytes == kWord || bytes == 2 * kWord) && offset % bytes == 0;
}

}  // namespace

Result<std::unique_ptr<Msix>, PciError> Msix::create(std::unique_ptr<vm_device::MsiVectors> vectors,
                                                     std::uint16_t count) {
  if (count == 0 || count > kMaxVectors) return fail(PciError::kBadVectors);
  return std::unique_ptr<Msix>(new Msix(std::move(vectors), count));
}

Msix::Msix(std::unique_ptr<vm_device::MsiVectors> vectors, std::uint16_t count)
    : count_(count), vectors_(std::move(vectors)), entries_(count) {}

std::array<std::byte, Msix::kCapabilityBytes> Msix::capability(const Places& places) const {
  std::array<std::byte, kCapabilityBytes> body{};
  store_le(body.data(), static_cast<std::uint16_t>(count_ - 1));
  store_le(body.data() + 2, places.table.offset | places.table.bar);
  store_le(body.data() + 6, places.pending.offset | places.pending.bar);
  return body;
}

std::array<std::byte, 2> Msix::capability_mask() {
  std::array<std::byte, 2> mask{};
  store_le(mask.data(), static_cast<std::uint16_t>(kEnable | kFunctionMask));
  return mask;
}

void Msix::set_device_id(MsiDeviceId device_id) {
  const MutexLock lock(mutex_);
  device_id_ = std::move(device_id);
}

void Msix::set_control(std::uint16_t control) {
  const MutexLock lock(mutex_);
  control &= kEnable | kFunctionMask;
  if (control == control_) return;
  control_ = control;
  enabled_.store((control & kEnable) != 0, std::memory_order_release);
  route_all();
}

void Msix::route_all() {
  for (std::uint16_t vector = 0; vector < count_; ++vector) route(vector);
}

void Msix::route(std::uint16_t vector) {
  Entry& entry = entries_[vector];
  std::optional<vm_device::MsiMessage> message;
  if ((control_ & (kEnable | kFunctionMask)) == kEnable && (entry.control & kMasked) == 0) {
    message = {.address = entry.address, .data = entry.data, .device_id = device_id_.now()};
  }
  if (message == entry.routed) return;
  const Result<void> done = vectors_->route(vector, message);
  if (!done) {
    VMM_LOG_GUEST(kWarn, "MSI-X vector %u: %s", vector, to_string(done.error()).c_str());
    message.reset();
  }
  entry.routed = message;
}

std::uint32_t Msix::word(std::size_t index) const {
  const Entry& entry = entries_[index / kWordsPerEntry];
  switch (index % kWordsPerEntry) {
    case 0:
      return static_cast<std::uint32_t>(entry.address);
    case 1:
      return static_cast<std::uint32_t>(entry.address >> 32);
    case 2:
      return entry.data;
    default:
      return entry.control;
  }
}

void Msix::set_word(std::size_t index, std::uint32_t value) {
  Entry& entry = entries_[index / kWordsPerEntry];
  switch (index % kWordsPerEntry) {
    case 0:  // the two lowest bits are 0: a message is aligned to 4 bytes
      entry.address = (entry.address & ~std::uint64_t{0xffff'ffff}) | (value & ~std::uint32_t{3});
      return;
    case 1:
      entry.address = (entry.address & 0xffff'ffff) | std::uint64_t{value} << 32;
      return;
    case 2:
      entry.data = value;
      return;
    default:
      entry.control = value & kMasked;
      return;
  }
}

void Msix::read_table(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  if (!is_defined(offset, data.size()) || offset >= count_ * kEntryBytes) return;
  const MutexLock lock(mutex_);
  for (std::size_t at = 0; at < data.size(); at += kWord) {
    store_le(data.data() + at, word((offset + at) / kWord));
  }
}

void Msix::write_table(std::uint64_t offset, std::span<const std::byte> data) {
  if (!is_defined(offset, data.size()) || offset >= count_ * kEntryBytes) return;
  const MutexLock lock(mutex_);
  for (std::size_t at = 0; at < data.size(); at += kWord) {
    set_word((offset + at) / kWord, load_le<std::uint32_t>(data.data() + at));
  }
  route(static_cast<std::uint16_t>(offset / kEntryBytes));
}

void Msix::read_pending(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  constexpr std::size_t kBits = 8;  // of a byte
  if (!is_defined(offset, data.size()) || offset >= kMaxVectors / kBits) return;
  const std::size_t first = offset * kBits;
  const std::size_t end = std::min<std::size_t>(count_, first + data.size() * kBits);
  for (std::size_t vector = first; vector < end; ++vector) {
    if (!vectors_->pending(static_cast<std::uint16_t>(vector))) continue;
    data[(vector - first) / kBits] |= std::byte{1} << (vector % kBits);
  }
}

void Msix::trigger(std::uint16_t vector) {
  if (vector < count_) vectors_->trigger(vector);
}

int Msix::trigger_fd(std::uint16_t vector) const {
  return vector < count_ ? vectors_->trigger_fd(vector) : -1;
}

void Msix::clear_pending() {
  for (std::uint16_t vector = 0; vector < count_; ++vector) vectors_->clear(vector);
}

void Msix::reset() {
  {
    const MutexLock lock(mutex_);
    control_ = 0;
    enabled_.store(false, std::memory_order_release);
    for (Entry& entry : entries_) {
      entry = Entry{.address = 0, .data = 0, .control = kMasked, .routed = entry.routed};
    }
    route_all();
  }
  clear_pending();
}

MsixState Msix::state() {
  const MutexLock lock(mutex_);
  MsixState state{.control = control_, .entries = {}};
  for (std::uint16_t vector = 0; vector < count_; ++vector) {
    const Entry& entry = entries_[vector];
    state.entries.push_back({.address = entry.address,
                             .data = entry.data,
                             .control = entry.control,
                             .pending = vectors_->pending(vector)});
  }
  return state;
}

Result<void, PciError> Msix::restore(const MsixState& state) {
  if (state.entries.size() != count_) return fail(PciError::kBadState);
  if ((state.control & ~(kEnable | kFunctionMask)) != 0) return fail(PciError::kBadState);
  for (const MsixState::Entry& entry : state.entries) {
    const bool reserved = (entry.control & ~kMasked) != 0 || (entry.address & 3) != 0;
    if (reserved) return fail(PciError::kBadState);
  }
  const MutexLock lock(mutex_);
  control_ = state.control;
  enabled_.store((control_ & kEnable) != 0, std::memory_order_release);
  for (std::uint16_t vector = 0; vector < count_; ++vector) {
    const MsixState::Entry& saved = state.entries[vector];
    Entry& entry = entries_[vector];
    entry.address = saved.address;
    entry.data = saved.data;
    entry.control = saved.control;
    route(vector);
    if (saved.pending) vectors_->trigger(vector);
  }
  return {};
}

}  // namespace vmm::pci
