// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <span>
#include <vector>

#include "vmm/arch/x86_64/cpuid.h"

namespace vmm::arch::x86_64 {

/// Leaves 1 (counts), 4, 0xb and 0x1f, and AMD's 0x80000008, 0x8000001d and 0x8000001e.
void set_cpuid_topology(std::vector<CpuidEntry>& entries, const ApicIds& ids);

/// Replaces the bits of `mask` in `word`.
constexpr void set_bits(std::uint32_t& word, std::uint32_t mask, std::uint32_t value) {
  word = (word & ~mask) | (value & mask);
}

}  // namespace vmm::arch::x86_64
