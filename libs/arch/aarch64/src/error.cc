// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/error.h"

namespace vmm::arch::aarch64 {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<ArchError>(code)) {
    case ArchError::kNoMemory:
      return "a guest needs at least 8 MiB of memory";
    case ArchError::kTooMuchMemory:
      return "that is more memory than an aarch64 guest can address";
    case ArchError::kUnalignedMemory:
      return "the memory size is not a multiple of 4 KiB";
    case ArchError::kBadTopology:
      return "a level of the CPU topology is 0 or too large";
    case ArchError::kNoCpus:
      return "a guest needs at least one vCPU";
    case ArchError::kTooManyCpus:
      return "there are more vCPUs than the interrupt controller or the topology holds";
    case ArchError::kBadRange:
      return "a range of addresses is empty or too large";
    case ArchError::kBadInterrupt:
      return "an interrupt number is beyond what the controller has";
    case ArchError::kBadCache:
      return "a CPU cache is described wrongly";
    case ArchError::kNoMsi:
      return "a PCI host wants MSIs, but there is no interrupt translation service";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"arch-aarch64", &message};

}  // namespace

Error make_error(ArchError error) {
  return {kDomain, static_cast<std::int32_t>(error), "describe the guest"};
}

}  // namespace vmm::arch::aarch64
