// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::arch::x86_64 {

/// Why a guest of this architecture cannot be described as asked.
enum class ArchError : std::uint8_t {
  kNoMemory,           ///< less RAM than the boot tables and a kernel need
  kTooMuchMemory,      ///< more RAM than guest-physical addresses
  kUnalignedMemory,    ///< RAM is not a multiple of the page size
  kTooManyMapEntries,  ///< more memory map entries than the boot protocol holds
  kTooManyModules,     ///< more PVH modules than their list holds
  kBadSetupHeader,     ///< a bzImage setup header that is too short, too long or without its magic
  kBadTopology,        ///< a topology with a level of 0, or beyond 32-bit APIC ids
  kNoCpus,             ///< 0 vCPUs
  kTooManyCpus,        ///< more vCPUs than the topology or the tables hold
};

/// Control-path form of the error.
Error make_error(ArchError error);

}  // namespace vmm::arch::x86_64
