// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pvpanic/pvpanic.h"

#include <algorithm>
#include <utility>

namespace vmm::pvpanic {
namespace {

constexpr pci::Header kHeader{.vendor = Pvpanic::kVendorId,
                              .device = Pvpanic::kDeviceId,
                              .revision = 1,
                              .class_code = Pvpanic::kClassCode};
constexpr pci::Bar kBar{.index = 0, .kind = pci::BarKind::kMemory32, .size = Pvpanic::kBarBytes};

}  // namespace

Pvpanic::Pvpanic(std::function<void(Event)> on_event)
    : on_event_(std::move(on_event)), endpoint_(kHeader, *this) {}

Result<std::shared_ptr<Pvpanic>> Pvpanic::create(std::function<void(Event)> on_event) {
  std::shared_ptr<Pvpanic> device(new Pvpanic(std::move(on_event)));
  VMM_TRY_DO(device->endpoint_.add_bar(kBar));
  return device;
}

Result<void> Pvpanic::attach(const pci::Attachment& attachment) {
  VMM_TRY_DO(endpoint_.attach(attachment));
  return {};
}

void Pvpanic::read_bar(std::uint8_t, std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  if (offset == 0 && !data.empty()) data[0] = std::byte{kEvents};
}

// Bits that are no events, and bytes behind the register, mean nothing.
void Pvpanic::write_bar(std::uint8_t, std::uint64_t offset, std::span<const std::byte> data) {
  if (offset != 0 || data.empty()) return;
  const auto written = static_cast<std::uint8_t>(std::to_integer<unsigned>(data[0]) & kEvents);
  const std::uint8_t before = told_.fetch_or(written);
  for (const Event event : {Event::kPanicked, Event::kCrashLoaded}) {
    if ((written & ~before & static_cast<unsigned>(event)) == 0) continue;
    if (on_event_) on_event_(event);
  }
}

}  // namespace vmm::pvpanic
