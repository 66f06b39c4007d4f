// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "../boot.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/arch/x86_64/topology.h"

namespace vmm::reference::x86_64 {

/// The APIC ids of the vCPUs, by --cpus.
Outcome<arch::x86_64::ApicIds> make_apic_ids(const CpusConfig& config);

/// Writes the command line, the ACPI tables and the boot structures, and answers with what vCPU 0
/// starts.
Outcome<arch::x86_64::BootRegisters> write_boot_structures(const GuestImage& image,
                                                           const arch::x86_64::AcpiConfig& acpi);

/// Writes the SMBIOS tables, where a kernel without EFI looks for them.
Outcome<void> write_smbios(const GuestImage& image, const IdentityConfig& identity);

}  // namespace vmm::reference::x86_64
