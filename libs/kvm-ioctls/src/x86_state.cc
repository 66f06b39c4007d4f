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

}  // namespace vmm::kvm_ioctls
