// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "express_slot.h"

#include <array>
#include <cstddef>
#include <utility>

namespace vmm::pci {
namespace {

constexpr std::uint16_t kPortFlags = 2 | 4 << 4 | 1 << 8;  // version 2, a root port, with a slot
constexpr std::uint32_t kRoleBasedErrors = 1 << 15;
constexpr std::uint16_t kDeviceControlWritable = 0x7fff;
constexpr std::uint32_t kLink = 1 | 1 << 4;  // 2.5 GT/s, one lane; also of its status
constexpr std::uint32_t kLinkActiveReported = 1 << 20;
constexpr std::uint16_t kLinkControlWritable = 0x00d0;  // disable, common clock, extended synch
constexpr std::uint16_t kRootControlWritable = 0x000f;
constexpr std::uint32_t kSlotNumberMask = 0x1fff;
constexpr std::uint32_t kSlotKind =
    kSlotButton | kSlotPowerControl | kSlotPowerIndicator | kSlotHotplug | kSlotNoCompletion;
constexpr std::uint16_t kControlWritable = kButtonEnable | kPresenceEnable | kCompletionEnable |
                                           kHotplugInterrupt | kIndicatorMask | kPowerOff |
                                           kLinkEnable;
constexpr std::uint16_t kEvents = kEventButton | kEventPresence | kEventLink;

template <class... Bits>
constexpr std::uint16_t bits(Bits... all) {
  return static_cast<std::uint16_t>((all | ...));
}

constexpr std::uint16_t plus(std::uint16_t at, std::uint16_t bytes) {
  return static_cast<std::uint16_t>(at + bytes);
}

}  // namespace

std::uint16_t ExpressSlot::control_at() const { return plus(at_, kSlotControl); }
std::uint16_t ExpressSlot::status_at() const { return plus(at_, kSlotStatus); }

Result<void, PciError> ExpressSlot::lay_out(ConfigSpace& config) {
  constexpr std::size_t kHead = 2;
  constexpr std::array<std::byte, kExpressBytes - kHead> kBody{};
  VMM_TRY(at_, config.add_capability(kCapabilityExpress, kBody));
  config.set(plus(at_, kExpressFlags), kPortFlags);
  config.set(plus(at_, kDeviceCapabilities), kRoleBasedErrors);
  config.set_writable(plus(at_, kDeviceControl), kDeviceControlWritable);
  config.set(plus(at_, kLinkCapabilities), kLink | kLinkActiveReported);
  config.set_writable(plus(at_, kLinkControl), kLinkControlWritable);
  config.set(plus(at_, kLinkStatus), static_cast<std::uint16_t>(kLink));
  config.set(plus(at_, kSlotCapabilities), kSlotKind);
  config.set_writable(control_at(), kControlWritable);
  config.set_clearable(status_at(), kEvents);
  config.set_writable(plus(at_, kRootControl), kRootControlWritable);
  control_ = bits(kIndicatorOff, kPowerOff);
  config.set(control_at(), control_);
  return {};
}

// The port's number, of 8 bits, stands with the link.
void ExpressSlot::set_number(ConfigSpace& config, std::uint16_t number) {
  config.set(plus(at_, kLinkCapabilities),
             kLink | kLinkActiveReported | (number & std::uint32_t{0xff}) << 24);
  config.set(plus(at_, kSlotCapabilities), kSlotKind | (number & kSlotNumberMask)
                                                           << kSlotNumberShift);
}

void ExpressSlot::add_events(ConfigSpace& config, std::uint16_t events) {
  config.set(status_at(), bits(config.get<std::uint16_t>(status_at()), events));
}

// The link is up while there is a device with power.
void ExpressSlot::update_link(ConfigSpace& config) {
  const std::uint16_t at = plus(at_, kLinkStatus);
  const auto before = config.get<std::uint16_t>(at);
  const auto now =
      connects() ? bits(before, kLinkActive) : static_cast<std::uint16_t>(before & ~kLinkActive);
  if (now == before) return;
  config.set(at, now);
  add_events(config, kEventLink);
}

// A guest that does not listen to the presence, as drivers of slots with a button do not, hears of
// the button; it looks at the presence then.
void ExpressSlot::fill(ConfigSpace& config, bool from_start) {
  present_ = true;
  asked_ = false;
  waits_ = false;
  pressed_ = false;
  add_events(config, kSlotPresent);
  if (!from_start) {
    add_events(config, bits(kEventPresence, kEventButton));
    return update_link(config);
  }
  powered_ = true;
  control_ = kIndicatorOn;
  config.set(control_at(), control_);
  update_link(config);
  config.set(status_at(), kSlotPresent);  // no events
}

void ExpressSlot::empty(ConfigSpace& config) {
  present_ = false;
  asked_ = false;
  waits_ = false;
  pressed_ = false;
  const auto status = config.get<std::uint16_t>(status_at());
  // A button that was pressed and not seen yet was about the device that has gone.
  config.set(status_at(), static_cast<std::uint16_t>(status & ~(kSlotPresent | kEventButton)));
  add_events(config, kEventPresence);
  update_link(config);
}

// A second press would cancel the first one as long as the indicator blinks. When that is about
// giving the slot power, as the first request finds it, the button is pressed after it.
bool ExpressSlot::ask(ConfigSpace& config) {
  const bool first = !asked_;
  asked_ = powered_;
  if (!powered_) return true;
  if (pressed_) return false;
  if (!blinks()) {
    press(config);
  } else if (first) {
    waits_ = true;
  }
  return false;
}

bool ExpressSlot::blinks() const { return (control_ & kIndicatorMask) == kIndicatorBlinks; }

void ExpressSlot::press(ConfigSpace& config) {
  pressed_ = true;
  waits_ = false;
  add_events(config, kEventButton);
}

bool ExpressSlot::after_write(ConfigSpace& config) {
  const auto control = config.get<std::uint16_t>(control_at());
  if (control == control_) return false;
  control_ = control;
  pressed_ = false;
  powered_ = (control & kPowerOff) == 0;
  update_link(config);
  if (powered_) {
    if (waits_ && !blinks()) press(config);
    return false;
  }
  waits_ = false;
  return std::exchange(asked_, false);
}

bool ExpressSlot::interrupts(const ConfigSpace& config) const {
  const auto control = config.get<std::uint16_t>(control_at());
  const auto status = config.get<std::uint16_t>(status_at());
  if ((control & kHotplugInterrupt) == 0) return false;
  // The bits of events and of their enables are the same but for the link's.
  const int link = (control & kLinkEnable) != 0 ? kEventLink : 0;
  const int wanted = (control & (kEventButton | kEventPresence)) | link;
  return (status & wanted) != 0;
}

}  // namespace vmm::pci
