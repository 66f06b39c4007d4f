// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/segment.h"

#include <algorithm>
#include <utility>

#include "vmm/base/checked.h"
#include "vmm/pci/registers.h"

namespace vmm::pci {
namespace {

constexpr std::uint32_t bit(std::uint8_t slot) { return std::uint32_t{1} << slot; }

}  // namespace

Result<std::shared_ptr<Segment>, PciError> Segment::create(const Parts& parts) {
  VMM_TRY(auto bars, BarSpace::create(parts.buses, parts.windows));
  return std::shared_ptr<Segment>(new Segment(parts, std::move(bars)));
}

Segment::Segment(const Parts& parts, std::shared_ptr<BarSpace> bars)
    : number_(parts.number),
      bars_(std::move(bars)),
      intx_(parts.intx),
      msi_device_base_(parts.msi_device_base) {}

Segment::~Segment() {
  for (std::uint8_t slot = 0; slot < kSlots; ++slot) (void)remove(slot);
}

bool Segment::is_empty(std::uint8_t slot) const {
  return attaching_[slot] == 0 && std::ranges::all_of(slots_[slot], [](const auto& function) {
           return function == nullptr;
         });
}

Result<void, PciError> Segment::reserve(std::uint8_t slot) {
  if (slot >= kSlots) return fail(PciError::kBadSlot);
  const MutexLock lock(mutex_);
  if ((reserved_ & bit(slot)) != 0 || !is_empty(slot)) return fail(PciError::kSlotTaken);
  reserved_ |= bit(slot);
  return {};
}

Result<FunctionAddress, PciError> Segment::choose(Place place) {
  if (place.function >= kFunctions) return fail(PciError::kBadSlot);
  std::uint8_t slot = 0;
  if (place.slot) {
    slot = *place.slot;
    if (slot >= kSlots) return fail(PciError::kBadSlot);
  } else {
    while (slot < kSlots && ((reserved_ & bit(slot)) != 0 || !is_empty(slot))) ++slot;
    if (slot == kSlots) return fail(PciError::kNoFreeSlot);
  }
  if (place.function != 0 && slots_[slot][0] == nullptr) return fail(PciError::kNoDevice);
  const bool attaching = (attaching_[slot] & 1u << place.function) != 0;
  if (attaching || slots_[slot][place.function] != nullptr) return fail(PciError::kSlotTaken);
  return FunctionAddress{.segment = number_, .slot = slot, .function = place.function};
}

Attachment Segment::attachment_for(const FunctionAddress& address) const {
  Attachment attachment{
      .address = address, .bars = bars_, .intx = {}, .lines = intx_, .msi_device_id = {}};
  for (std::uint8_t pin = 0; intx_ != nullptr && pin < std::size(attachment.intx); ++pin) {
    attachment.intx[pin] = intx_->input({.slot = address.slot, .pin = pin});
  }
  if (msi_device_base_) attachment.msi_device_id = *msi_device_base_ + address.devfn();
  return attachment;
}

Result<FunctionAddress> Segment::add(std::shared_ptr<Function> function, Place place) {
  FunctionAddress address;
  {
    const MutexLock lock(mutex_);
    VMM_TRY(address, choose(place));
    attaching_[address.slot] |= static_cast<std::uint8_t>(1u << address.function);
  }
  const auto attached = function->attach(attachment_for(address));
  const MutexLock lock(mutex_);
  attaching_[address.slot] &= static_cast<std::uint8_t>(~(1u << address.function));
  VMM_TRY_DO(attached);
  slots_[address.slot][address.function] = std::move(function);
  reserved_ &= ~bit(address.slot);
  return address;
}

Result<void, PciError> Segment::remove(std::uint8_t slot) {
  if (slot >= kSlots) return fail(PciError::kBadSlot);
  Slot removed;
  {
    const MutexLock lock(mutex_);
    removed.swap(slots_[slot]);
  }
  bool any = false;
  for (const auto& function : removed) {
    if (function == nullptr) continue;
    function->detach();
    any = true;
  }
  if (!any) return fail(PciError::kNoDevice);
  retry_bars();
  return {};
}

// Without a lock, as each function takes its own.
void Segment::retry_bars() {
  if (!bars_->take_freed()) return;
  for (std::uint32_t devfn = 0; devfn < kSlots * kFunctions; ++devfn) {
    const std::shared_ptr<Function> function =
        find({.bus = 0, .devfn = static_cast<std::uint8_t>(devfn)});
    if (function != nullptr) function->retry_bars();
  }
}

std::uint32_t Segment::occupied() {
  const MutexLock lock(mutex_);
  std::uint32_t slots = 0;
  for (std::uint8_t slot = 0; slot < kSlots; ++slot) {
    if (!is_empty(slot)) slots |= bit(slot);
  }
  return slots;
}

// Bridges are functions 0.
std::shared_ptr<Function> Segment::find(ConfigAddress address) {
  const MutexLock lock(mutex_);
  if (address.bus == 0) return slots_[address.devfn / kFunctions][address.devfn % kFunctions];
  for (const Slot& slot : slots_) {
    if (slot[0] == nullptr) continue;
    if (auto function = slot[0]->find_behind(address)) return function;
  }
  return nullptr;
}

void Segment::read_config(ConfigAddress address, std::uint16_t offset, std::span<std::byte> data) {
  const std::shared_ptr<Function> function = find(address);
  if (function == nullptr || !fits(std::size_t{offset}, data.size(), kConfigBytes)) {
    std::ranges::fill(data, std::byte{0xff});
    return;
  }
  function->read_config(offset, data);
}

void Segment::write_config(ConfigAddress address, std::uint16_t offset,
                           std::span<const std::byte> data) {
  const std::shared_ptr<Function> function = find(address);
  if (function == nullptr || !fits(std::size_t{offset}, data.size(), kConfigBytes)) return;
  function->write_config(offset, data);
  retry_bars();
}

}  // namespace vmm::pci
