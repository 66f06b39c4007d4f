// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/msi.h"

#include <algorithm>
#include <bit>

#include "vmm/base/checked.h"
#include "vmm/base/log.h"

namespace vmm::pci {
namespace {

// Message control.
constexpr std::uint16_t kEnable = 1 << 0;
constexpr unsigned kCapableShift = 1;  // the logarithm of the vectors there are
constexpr unsigned kEnabledShift = 4;  // and of those that the guest enabled
constexpr std::uint16_t kLogMask = 7;
constexpr std::uint16_t kWide = 1 << 7;
constexpr std::uint16_t kMaskable = 1 << 8;

constexpr std::uint32_t kLowAddress = ~std::uint32_t{3};

std::uint16_t plus(std::uint16_t at, unsigned bytes) {
  return static_cast<std::uint16_t>(at + bytes);
}

std::uint32_t bits_of(std::uint8_t count) {
  return count >= 32 ? ~std::uint32_t{0} : (std::uint32_t{1} << count) - 1;
}

}  // namespace

Result<std::unique_ptr<Msi>, PciError> Msi::create(std::unique_ptr<vm_device::MsiVectors> vectors,
                                                   std::uint8_t count, Form form) {
  if (count > kMaxVectors || !is_power_of_two(count)) return fail(PciError::kBadVectors);
  return std::unique_ptr<Msi>(new Msi(std::move(vectors), count, form));
}

void Msi::lay_out(ConfigSpace& config, std::uint16_t at) {
  at_ = at;
  const auto log = static_cast<unsigned>(std::countr_zero(count_));
  config.set(plus(at, 2),
             static_cast<std::uint16_t>(log << kCapableShift | (form_.wide ? kWide : 0) |
                                        (form_.maskable ? kMaskable : 0)));
  config.set_writable(plus(at, 2), static_cast<std::uint16_t>(kEnable | kLogMask << kEnabledShift));
  config.set_writable(plus(at, 4), kLowAddress);
  if (form_.wide) config.set_writable(plus(at, 8), ~std::uint32_t{0});
  config.set_writable(data_at(), std::uint16_t{0xffff});
  if (form_.maskable) config.set_writable(mask_at(), bits_of(count_));
}

std::optional<vm_device::MsiMessage> Msi::message(const ConfigSpace& config,
                                                  std::uint8_t vector) const {
  if (vector >= enabled_) return std::nullopt;
  if (form_.maskable && (config.get<std::uint32_t>(mask_at()) >> vector & 1) != 0) {
    return std::nullopt;
  }
  std::uint64_t address = config.get<std::uint32_t>(plus(at_, 4));
  if (form_.wide) address |= std::uint64_t{config.get<std::uint32_t>(plus(at_, 8))} << 32;
  const std::uint32_t base = config.get<std::uint16_t>(data_at()) & ~(enabled_ - 1u);
  return vm_device::MsiMessage{
      .address = address, .data = base | vector, .device_id = device_id_.now()};
}

void Msi::update(ConfigSpace& config) {
  const auto control = config.get<std::uint16_t>(plus(at_, 2));
  // A guest that asks for more vectors than there are gets those there are.
  const unsigned asked = 1u << (control >> kEnabledShift & kLogMask);
  const auto vectors = static_cast<std::uint8_t>(std::min<unsigned>(asked, count_));
  enabled_ = (control & kEnable) != 0 ? vectors : std::uint8_t{0};
  for (std::uint8_t vector = 0; vector < count_; ++vector) route(vector, message(config, vector));
}

void Msi::route(std::uint8_t vector, std::optional<vm_device::MsiMessage> message) {
  if (message == routed_[vector]) return;
  if (const auto done = vectors_->route(vector, message); !done) {
    VMM_LOG_GUEST(kWarn, "MSI vector %u: %s", vector, to_string(done.error()).c_str());
    message.reset();
  }
  routed_[vector] = message;
}

void Msi::refresh(ConfigSpace& config) const {
  if (!form_.maskable) return;
  std::uint32_t pending = 0;
  for (std::uint8_t vector = 0; vector < count_; ++vector) {
    if (vectors_->pending(vector)) pending |= std::uint32_t{1} << vector;
  }
  config.set(pending_at(), pending);
}

void Msi::reset(ConfigSpace& config) {
  const auto control = config.get<std::uint16_t>(plus(at_, 2));
  config.set(plus(at_, 2),
             static_cast<std::uint16_t>(control & ~(kEnable | kLogMask << kEnabledShift)));
  if (form_.maskable) config.set(mask_at(), std::uint32_t{0});
  update(config);
  for (std::uint8_t vector = 0; vector < count_; ++vector) vectors_->clear(vector);
}

}  // namespace vmm::pci
