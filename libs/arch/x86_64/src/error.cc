// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/error.h"

namespace vmm::arch::x86_64 {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<ArchError>(code)) {
    case ArchError::kNoMemory:
      return "a guest needs at least 2 MiB of memory";
    case ArchError::kTooMuchMemory:
      return "that is more memory than an x86_64 guest can address";
    case ArchError::kUnalignedMemory:
      return "the memory size is not a multiple of 4 KiB";
    case ArchError::kTooManyMapEntries:
      return "the memory map has more entries than the boot protocol holds";
    case ArchError::kTooManyModules:
      return "there are more boot modules than their list holds";
    case ArchError::kBadSetupHeader:
      return "the kernel's setup header is damaged";
    case ArchError::kBadTopology:
      return "a level of the CPU topology is 0 or too large";
    case ArchError::kNoCpus:
      return "a guest needs at least one vCPU";
    case ArchError::kTooManyCpus:
      return "there are more vCPUs than the topology or the tables hold";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"arch-x86_64", &message};

}  // namespace

Error make_error(ArchError error) {
  return {kDomain, static_cast<std::int32_t>(error), "describe the guest"};
}

}  // namespace vmm::arch::x86_64
