// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/memory_map.h"

namespace vmm::arch::x86_64 {

MemoryMap memory_map(const RamRegions& ram, bool ecam) {
  MemoryMap map;
  const auto add = [&map](const AddressRange& range, MapType type) {
    map.entries_[map.count_++] = {range, type};
  };
  add({GuestAddress(0), kEbda.raw()}, MapType::kRam);
  add({kHighRam, ram[0].size - kHighRam.raw()}, MapType::kRam);
  if (ecam) add(kEcam, MapType::kReserved);
  if (ram.size() > 1) add(ram[1], MapType::kRam);
  return map;
}

}  // namespace vmm::arch::x86_64
