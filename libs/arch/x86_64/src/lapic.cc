// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/lapic.h"

#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

void set_delivery(LapicPage page, LapicRegister at, Delivery mode) {
  constexpr std::uint32_t kModeMask = 7u << 8;
  const std::uint32_t old = lapic_read(page, at);
  lapic_write(page, at, (old & ~kModeMask) | static_cast<std::uint32_t>(mode) << 8);
}

}  // namespace

std::uint32_t lapic_read(std::span<const std::byte, kLapicPageBytes> page, LapicRegister at) {
  return load_le<std::uint32_t>(page.data() + static_cast<std::size_t>(at));
}

void lapic_write(LapicPage page, LapicRegister at, std::uint32_t value) {
  store_le(page.data() + static_cast<std::size_t>(at), value);
}

void set_boot_lints(LapicPage page) {
  set_delivery(page, LapicRegister::kLint0, Delivery::kExtInt);
  set_delivery(page, LapicRegister::kLint1, Delivery::kNmi);
}

}  // namespace vmm::arch::x86_64
