// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/arch/x86_64/topology.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The RAM of the machine: its regions, with the policy that --memory asks for.
Outcome<vm_memory::GuestMemory> make_guest_memory(const MemoryConfig& config);

/// The APIC ids of the vCPUs, by --cpus.
Outcome<arch::x86_64::ApicIds> make_apic_ids(const CpusConfig& config);

/// Loads kernel, initramfs and command line, writes the ACPI tables and the boot structures, and
/// answers with what vCPU 0 starts.
Outcome<arch::x86_64::BootRegisters> load_guest(const VmConfig& config,
                                                const vm_memory::GuestMemory& memory,
                                                const arch::x86_64::AcpiConfig& acpi);

}  // namespace vmm::reference
