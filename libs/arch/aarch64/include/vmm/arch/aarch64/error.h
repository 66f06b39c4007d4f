// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::arch::aarch64 {

/// Why a guest of this architecture cannot be described as asked.
enum class ArchError : std::uint8_t {
  kNoMemory,         ///< less RAM than the boot data and a kernel need
  kTooMuchMemory,    ///< more RAM than guest-physical addresses
  kUnalignedMemory,  ///< RAM is not a multiple of the page size
  kBadTopology,      ///< a topology with a level of 0
  kNoCpus,           ///< 0 vCPUs
  kTooManyCpus,      ///< more vCPUs than the interrupt controller or the topology holds
  kBadRange,         ///< a range of addresses that is empty or passes 2^64
  kBadInterrupt,     ///< a shared interrupt that the controller lacks
  kBadCache,         ///< a cache of level 0 or above 7, of no bytes, or shared oddly
  kNoMsi,            ///< MSIs of a PCI host without an interrupt translation service
};

/// Control-path form of the error.
Error make_error(ArchError error);

}  // namespace vmm::arch::aarch64
