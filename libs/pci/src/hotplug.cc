// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/hotplug.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "vmm/base/assert.h"
#include "vmm/base/endian.h"
#include "vmm/pci/segment.h"

namespace vmm::pci {
namespace {

constexpr std::uint32_t bit(FunctionAddress slot) { return std::uint32_t{1} << slot.slot; }

}  // namespace

HotplugRegisters::HotplugRegisters(std::uint16_t segments, EjectListener& listener)
    : listener_(listener), segments_(segments), count_(segments) {
  VMM_ASSERT_ALWAYS(segments >= 1 && segments <= kMaxSegments);
}

bool HotplugRegisters::exists(FunctionAddress slot) const {
  return slot.segment < count_ && slot.slot < Segment::kSlots;
}

// What was asked of the slot before was about another device.
Result<void, PciError> HotplugRegisters::plugged(FunctionAddress slot) {
  if (!exists(slot)) return fail(PciError::kBadSlot);
  const MutexLock lock(mutex_);
  Slots& slots = segments_[slot.segment];
  slots.up |= bit(slot);
  slots.down &= ~bit(slot);
  slots.asked &= ~bit(slot);
  return {};
}

Result<void, PciError> HotplugRegisters::ask_for(FunctionAddress slot) {
  if (!exists(slot)) return fail(PciError::kBadSlot);
  const MutexLock lock(mutex_);
  Slots& slots = segments_[slot.segment];
  slots.down |= bit(slot);
  slots.asked |= bit(slot);
  return {};
}

void HotplugRegisters::forget(FunctionAddress slot) {
  if (!exists(slot)) return;
  const MutexLock lock(mutex_);
  Slots& slots = segments_[slot.segment];
  slots.up &= ~bit(slot);
  slots.down &= ~bit(slot);
  slots.asked &= ~bit(slot);
}

void HotplugRegisters::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  if (data.size() != sizeof(std::uint32_t)) return;
  store_le(data.data(), take(offset));
}

std::uint32_t HotplugRegisters::take(std::uint64_t offset) {
  const MutexLock lock(mutex_);
  Slots& slots = segments_[selected_];
  switch (offset) {
    case kUp:
      return std::exchange(slots.up, 0);
    case kDown:
      return std::exchange(slots.down, 0);
    case kSegmentSelect:
      return selected_;
    default:
      return 0;
  }
}

void HotplugRegisters::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (data.size() != sizeof(std::uint32_t)) return;
  const auto value = load_le<std::uint32_t>(data.data());
  if (offset == kEject) return eject(value);
  if (offset != kSegmentSelect || value >= count_) return;
  const MutexLock lock(mutex_);
  selected_ = static_cast<std::uint16_t>(value);
}

void HotplugRegisters::eject(std::uint32_t slots) {
  FunctionAddress slot;
  {
    const MutexLock lock(mutex_);
    slot.segment = selected_;
    Slots& here = segments_[selected_];
    slots &= here.asked;
    here.asked &= ~slots;
    here.down &= ~slots;
    here.up &= ~slots;
  }
  for (; slots != 0; slots &= slots - 1) {
    slot.slot = static_cast<std::uint8_t>(std::countr_zero(slots));
    listener_.ejected(slot);
  }
}

}  // namespace vmm::pci
