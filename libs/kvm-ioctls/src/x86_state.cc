// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/x86_state.h"

#include <cstring>

#include "vmm/base/checked.h"

namespace vmm::kvm_ioctls {

std::uint32_t Lapic::get(std::size_t offset) const {
  std::uint32_t value = 0;
  if (fits(offset, sizeof(value), sizeof(regs))) std::memcpy(&value, regs + offset, sizeof(value));
  return value;
}

bool Lapic::set(std::size_t offset, std::uint32_t value) {
  if (!fits(offset, sizeof(value), sizeof(regs))) return false;
  std::memcpy(regs + offset, &value, sizeof(value));
  return true;
}

bool NestedState::is_initial() const {
  constexpr std::uint16_t kVmx = 0;
  constexpr std::uint16_t kSvm = 1;
  constexpr std::uint16_t kGifSet = 1u << 8;
  constexpr std::uint64_t kNoVmxon = ~std::uint64_t{0};
  constexpr std::size_t kSmmFlagsAt = 16;  // behind the addresses of VMXON's region and of a VMCS
  if (size > kHeaderBytes) return false;
  if (format == kSvm) return flags == kGifSet;
  std::uint64_t vmxon = 0;
  std::uint16_t smm_flags = 0;
  std::memcpy(&vmxon, header, sizeof(vmxon));
  std::memcpy(&smm_flags, header + kSmmFlagsAt, sizeof(smm_flags));
  return format == kVmx && flags == 0 && vmxon == kNoVmxon && smm_flags == 0;
}

}  // namespace vmm::kvm_ioctls
