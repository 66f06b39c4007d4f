// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/config_space.h"

#include "vmm/base/assert.h"

namespace vmm::pci {
namespace {

constexpr std::uint16_t kCommandWritable = kCommandIo | kCommandMemory | kCommandBusMaster |
                                           kCommandParityError | kCommandSystemError |
                                           kCommandIntxDisable;
constexpr std::size_t kAlignment = 4;  // of capabilities

std::size_t rounded(std::size_t bytes) { return (bytes + kAlignment - 1) & ~(kAlignment - 1); }

}  // namespace

ConfigSpace::ConfigSpace(const Header& header, Kind kind)
    : value_(static_cast<std::size_t>(kind)),
      writable_(static_cast<std::size_t>(kind)),
      clearable_(static_cast<std::size_t>(kind)) {
  set(kVendorId, header.vendor);
  set(kDeviceId, header.device);
  set(kRevision, header.class_code << 8 | header.revision);
  set(kHeaderType, header.multifunction ? kMultifunction : std::uint8_t{0});
  set(kSubsystemVendorId, header.subsystem_vendor);
  set(kSubsystemId, header.subsystem);
  set(kInterruptPin, header.interrupt_pin);
  set_writable(kCommand, kCommandWritable);
  set_clearable(kStatus, kStatusErrors);
  set_writable(kInterruptLine, std::uint8_t{0xff});
  set_writable(std::uint16_t{0x0c}, std::uint8_t{0xff});  // cache line size: kept, without effect
}

std::size_t ConfigSpace::checked(std::uint16_t offset, std::size_t count) const {
  VMM_ASSERT_ALWAYS(offset <= value_.size() && count <= value_.size() - offset);
  return offset;
}

void ConfigSpace::read(std::uint64_t offset, std::span<std::byte> data) const {
  std::ranges::fill(data, std::byte{0xff});
  if (offset >= value_.size()) return;
  const std::size_t count = std::min<std::size_t>(data.size(), value_.size() - offset);
  std::copy_n(value_.begin() + static_cast<std::ptrdiff_t>(offset), count, data.begin());
}

void ConfigSpace::write(std::uint64_t offset, std::span<const std::byte> data) {
  for (std::size_t i = 0; i < data.size() && offset < value_.size(); ++i, ++offset) {
    std::byte& value = value_[offset];
    value = (value & ~writable_[offset]) | (data[i] & writable_[offset]);
    value &= ~(data[i] & clearable_[offset]);
  }
}

void ConfigSpace::place(std::uint16_t offset, std::span<const std::byte> body,
                        std::span<const std::byte> writable) {
  const auto at = static_cast<std::ptrdiff_t>(offset);
  std::ranges::copy(body, value_.begin() + at);
  std::ranges::copy(writable.first(std::min(writable.size(), body.size())), writable_.begin() + at);
}

Result<std::uint16_t, PciError> ConfigSpace::add_capability(std::uint8_t id,
                                                            std::span<const std::byte> body,
                                                            std::span<const std::byte> writable) {
  constexpr std::uint16_t kHead = 2;  // id and pointer
  const std::size_t room = kConventionalConfigBytes - next_capability_;
  if (body.size() > room || kHead + body.size() > room) return fail(PciError::kNoCapabilityRoom);
  const std::uint16_t at = next_capability_;
  set(at, id);
  place(static_cast<std::uint16_t>(at + kHead), body, writable);
  set(last_link_, static_cast<std::uint8_t>(at));
  set(kStatus, static_cast<std::uint16_t>(get<std::uint16_t>(kStatus) | kStatusCapabilities));
  last_link_ = static_cast<std::uint16_t>(at + 1);
  next_capability_ = static_cast<std::uint16_t>(at + rounded(kHead + body.size()));
  return at;
}

Result<std::uint16_t, PciError> ConfigSpace::add_extended_capability(
    ExtendedId id, std::span<const std::byte> body, std::span<const std::byte> writable) {
  constexpr std::uint16_t kHead = 4;  // id, version and pointer
  const std::size_t room = value_.size() - std::min<std::size_t>(value_.size(), next_extended_);
  if (body.size() > room || kHead + body.size() > room) return fail(PciError::kNoCapabilityRoom);
  const std::uint16_t at = next_extended_;
  set(at, std::uint32_t{id.id} | static_cast<std::uint32_t>(id.version & 0xf) << 16);
  place(static_cast<std::uint16_t>(at + kHead), body, writable);
  if (last_extended_ != 0) {
    set(last_extended_, get<std::uint32_t>(last_extended_) | std::uint32_t{at} << 20);
  }
  last_extended_ = at;
  next_extended_ = static_cast<std::uint16_t>(at + rounded(kHead + body.size()));
  return at;
}

Result<void, PciError> ConfigSpace::restore(std::span<const std::byte> state) {
  if (state.size() != value_.size()) return fail(PciError::kBadState);
  for (std::size_t i = 0; i < state.size(); ++i) {
    const bool status = i == kStatus || i == kStatus + 1;
    const std::byte fixed = ~writable_[i];
    if (!status && (state[i] & fixed) != (value_[i] & fixed)) return fail(PciError::kBadState);
  }
  for (std::size_t i = 0; i < state.size(); ++i) {
    value_[i] = (value_[i] & ~writable_[i]) | (state[i] & writable_[i]);
  }
  return {};
}

}  // namespace vmm::pci
