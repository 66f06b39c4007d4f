// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/ioapic.h"

#include <algorithm>

#include "registers32.h"
#include "vmm/base/assert.h"

namespace vmm::vm_superio {
namespace {

constexpr std::uint64_t kSelect = 0x00;  // IOREGSEL
constexpr std::uint64_t kWindow = 0x10;  // IOWIN

enum Index : std::uint8_t { kId = 0, kVersionIndex = 1, kArbitration = 2, kFirstEntry = 0x10 };

constexpr std::uint64_t kVectorBits = 0xff;
constexpr std::uint64_t kDeliveryShift = 8;
constexpr std::uint64_t kLogical = 1 << 11;
constexpr std::uint64_t kActiveLow = 1 << 13;
constexpr std::uint64_t kRemoteIrr = 1 << 14;
constexpr std::uint64_t kLevel = 1 << 15;
constexpr std::uint64_t kMasked = 1 << 16;
constexpr std::uint64_t kExtendedIdShift = 49;
constexpr std::uint64_t kDestinationShift = 56;
constexpr std::uint64_t kWritable = kVectorBits | 7ull << kDeliveryShift | kLogical | kActiveLow |
                                    kLevel | kMasked | 0x7full << kExtendedIdShift |
                                    0xffull << kDestinationShift;

enum class Delivery : std::uint8_t { kFixed = 0, kLowest = 1, kSmi = 2, kNmi = 4, kInit = 5 };

Delivery delivery(std::uint64_t entry) {
  return static_cast<Delivery>(entry >> kDeliveryShift & 7);
}

/// Fixed and lowest-priority interrupts may be level-sensitive; the others are edges.
bool is_level(std::uint64_t entry) {
  const Delivery mode = delivery(entry);
  return (entry & kLevel) != 0 && (mode == Delivery::kFixed || mode == Delivery::kLowest);
}

/// What a redirection entry sends; nullopt for modes that reach no local APIC.
/// Message format: Intel SDM volume 3, 11.11.
std::optional<vm_device::MsiMessage> message_of(std::uint64_t entry) {
  switch (delivery(entry)) {
    case Delivery::kFixed:
    case Delivery::kLowest:
    case Delivery::kSmi:
    case Delivery::kNmi:
    case Delivery::kInit:
      break;
    default:
      return std::nullopt;
  }
  const std::uint64_t address = 0xfee0'0000 | (entry >> kDestinationShift) << 12 |
                                (entry >> kExtendedIdShift & 0x7f) << 5 |
                                ((entry & kLogical) != 0 ? 1 << 2 : 0);
  // Bit 14 says "assert"; without it a level-triggered message is ignored by local APICs.
  const std::uint64_t trigger = is_level(entry) ? kLevel | 1 << 14 : 0;
  const std::uint64_t data = (entry & (kVectorBits | 7 << kDeliveryShift)) | trigger;
  return vm_device::MsiMessage{.address = address, .data = static_cast<std::uint32_t>(data)};
}

constexpr std::uint32_t pin_bit(std::size_t pin) { return std::uint32_t{1} << pin; }

}  // namespace

Ioapic::Ioapic(vm_device::MsiSender& sender, IoapicRouteListener* routes)
    : sender_(sender), routes_(routes) {
  for (std::size_t i = 0; i < kPins; ++i) {
    pins_[i].chip = this;
    pins_[i].index = i;
  }
  const MutexLock lock(mutex_);
  regs_.redirection.fill(kMasked);
}

vm_device::ResampleLine& Ioapic::line(std::size_t pin) {
  VMM_ASSERT_ALWAYS(pin < kPins);
  return pins_[pin];
}

void Ioapic::read(std::uint64_t offset, std::span<std::byte> data) {
  const MutexLock lock(mutex_);
  read_registers32(offset, data, [this](std::uint64_t at) VMM_REQUIRES(mutex_) -> std::uint32_t {
    if (at == kSelect) return regs_.select;
    return at == kWindow ? read_window() : 0;
  });
}

void Ioapic::write(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  write_registers32(offset, data,
                    [this](std::uint64_t at, std::uint32_t value) VMM_REQUIRES(mutex_) {
                      if (at == kSelect) {
                        regs_.select = static_cast<std::uint8_t>(value & 0xff);
                      } else if (at == kWindow) {
                        write_window(value);
                      }
                    });
}

std::uint32_t Ioapic::read_window() const {
  switch (regs_.select) {
    case kId:
    case kArbitration:
      return std::uint32_t{regs_.id} << 24;
    case kVersionIndex:
      return kVersion | (kPins - 1) << 16;
    default:
      break;
  }
  const std::size_t pin = (regs_.select - std::size_t{kFirstEntry}) / 2;
  if (regs_.select < kFirstEntry || pin >= kPins) return 0;
  const std::uint64_t entry = regs_.redirection[pin];
  return static_cast<std::uint32_t>((regs_.select & 1) != 0 ? entry >> 32 : entry & 0xffff'ffff);
}

void Ioapic::write_window(std::uint32_t value) {
  if (regs_.select == kId) {
    regs_.id = value >> 24 & 0x0f;
    return;
  }
  const std::size_t pin = (regs_.select - std::size_t{kFirstEntry}) / 2;
  if (regs_.select < kFirstEntry || pin >= kPins) return;
  const std::uint64_t entry = regs_.redirection[pin];
  if ((regs_.select & 1) != 0) {
    write_entry(pin, (entry & 0xffff'ffff) | std::uint64_t{value} << 32);
  } else {
    write_entry(pin, (entry & ~std::uint64_t{0xffff'ffff}) | value);
  }
}

void Ioapic::write_entry(std::size_t pin, std::uint64_t entry) {
  std::uint64_t& current = regs_.redirection[pin];
  const std::uint64_t in_service = is_level(entry) ? current & kRemoteIrr : 0;
  const std::uint64_t next = (entry & kWritable) | in_service;
  if (next == current) return;
  current = next;
  announce(pin);
  serve_level(pin);
}

void Ioapic::announce(std::size_t pin) {
  if (routes_ == nullptr) return;
  const std::uint64_t entry = regs_.redirection[pin];
  const bool masked = (entry & kMasked) != 0;
  routes_->route_changed(static_cast<std::uint32_t>(pin),
                         masked ? std::nullopt : message_of(entry));
}

/// Delivers a level-sensitive pin's interrupt if it is due.
void Ioapic::serve_level(std::size_t pin) {
  std::uint64_t& entry = regs_.redirection[pin];
  const bool asserted = (regs_.asserted & pin_bit(pin)) != 0;
  if (!asserted || !is_level(entry) || (entry & (kMasked | kRemoteIrr)) != 0) return;
  entry |= kRemoteIrr;
  sender_.send(*message_of(entry));  // a level-sensitive entry always has a message
}

void Ioapic::set_level(std::size_t pin, bool asserted) {
  if (pin >= kPins) return;
  const MutexLock lock(mutex_);
  const bool rises = asserted && (regs_.asserted & pin_bit(pin)) == 0;
  if (asserted) {
    regs_.asserted |= pin_bit(pin);
  } else {
    regs_.asserted &= ~pin_bit(pin);
  }
  const std::uint64_t entry = regs_.redirection[pin];
  if (is_level(entry)) {
    serve_level(pin);
  } else if (rises && (entry & kMasked) == 0) {
    if (const auto message = message_of(entry)) sender_.send(*message);
  }
}

void Ioapic::end_of_interrupt(std::uint8_t vector) {
  std::uint32_t ended = 0;
  {
    const MutexLock lock(mutex_);
    for (std::size_t pin = 0; pin < kPins; ++pin) {
      std::uint64_t& entry = regs_.redirection[pin];
      if ((entry & kRemoteIrr) == 0 || (entry & kVectorBits) != vector) continue;
      entry &= ~kRemoteIrr;
      ended |= pin_bit(pin);
    }
  }
  // Listeners first, as they know whether the cause is gone; then what is still asserted.
  for (std::size_t pin = 0; pin < kPins; ++pin) {
    if ((ended & pin_bit(pin)) != 0 && pins_[pin].listener != nullptr) {
      pins_[pin].listener->resampled();
    }
  }
  const MutexLock lock(mutex_);
  for (std::size_t pin = 0; pin < kPins; ++pin) {
    if ((ended & pin_bit(pin)) != 0) serve_level(pin);
  }
}

IoapicState Ioapic::state() const {
  const MutexLock lock(mutex_);
  return regs_;
}

Result<void, StateError> Ioapic::restore(const IoapicState& state) {
  if (state.id > 0x0f || state.asserted >= pin_bit(kPins)) return fail(StateError::kReservedBits);
  for (const std::uint64_t entry : state.redirection) {
    if ((entry & ~(kWritable | kRemoteIrr)) != 0) return fail(StateError::kReservedBits);
    if ((entry & kRemoteIrr) != 0 && !is_level(entry)) return fail(StateError::kInconsistent);
  }
  const MutexLock lock(mutex_);
  regs_ = state;
  for (std::size_t pin = 0; pin < kPins; ++pin) announce(pin);
  return {};
}

}  // namespace vmm::vm_superio
