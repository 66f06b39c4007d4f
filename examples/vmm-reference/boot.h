// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/arch/x86_64/topology.h"
#include "vmm/linux_loader/kernel.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// Guest memory with what is to run in it.
struct GuestImage {
  vm_memory::GuestMemory memory;
  linux_loader::LoadedKernel kernel;
  arch::x86_64::AddressRange initrd;  ///< size 0: none
};

/// Makes the RAM that --memory asks for, and loads kernel, initramfs and command line. Needs no
/// KVM, so that a wrong file is reported as such on every host.
Outcome<GuestImage> load_image(const VmConfig& config);

/// The APIC ids of the vCPUs, by --cpus.
Outcome<arch::x86_64::ApicIds> make_apic_ids(const CpusConfig& config);

/// Writes the ACPI tables and the boot structures, and answers with what vCPU 0 starts.
Outcome<arch::x86_64::BootRegisters> write_boot_structures(const GuestImage& image,
                                                           const arch::x86_64::AcpiConfig& acpi);

}  // namespace vmm::reference
