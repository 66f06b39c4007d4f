// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>

namespace vmm::vm_superio {

/// Offset of the eight identification registers of an Arm PrimeCell.
inline constexpr std::uint64_t kPrimeCellIds = 0xfe0;

/// PeriphID0 to 3, then PCellID0 to 3, one byte in each register.
using PrimeCellIds = std::array<std::uint8_t, 8>;

/// The identification register at `offset`, a multiple of 4 in [0xfe0, 0xffc].
inline std::uint32_t read_primecell_id(const PrimeCellIds& ids, std::uint64_t offset) {
  return ids[(offset - kPrimeCellIds) / 4 % ids.size()];
}

}  // namespace vmm::vm_superio
