// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/acpi_tables/table.h"
#include "vmm/arch/x86_64/acpi.h"

namespace vmm::arch::x86_64 {

/// Processor devices are named C000 to CFFF.
inline constexpr std::uint32_t kMaxDsdtCpus = 0x1000;

void write_dsdt(acpi_tables::TableBuffer& out, const acpi_tables::Oem& oem,
                const AcpiConfig& config);

}  // namespace vmm::arch::x86_64
