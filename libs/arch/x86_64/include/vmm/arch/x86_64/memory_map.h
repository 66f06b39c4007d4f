// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/arch/x86_64/layout.h"

namespace vmm::arch::x86_64 {

/// The types of the E820 interface, which PVH uses too. Spec: ACPI 6.5, 15.
enum class MapType : std::uint32_t { kRam = 1, kReserved = 2, kAcpi = 3, kNvs = 4, kUnusable = 5 };

/// One range of the map.
struct MapEntry {
  AddressRange range{};          ///< not empty
  MapType type = MapType::kRam;  ///< what it may be used for
};

/// The memory map that a guest is given at boot, in ascending order.
class MemoryMap {
 public:
  /// The most that memory_map() makes.
  static constexpr std::size_t kMaxEntries = 8;

  /// Borrowed from this object.
  [[nodiscard]] std::span<const MapEntry> entries() const { return {entries_.data(), count_}; }

 private:
  friend MemoryMap memory_map(const RamRegions& ram, bool ecam);
  std::array<MapEntry, kMaxEntries> entries_{};
  std::size_t count_ = 0;
};

/// RAM without the legacy area at 640 KiB; with `ecam`, also the PCI configuration window, as
/// reserved.
[[nodiscard]] MemoryMap memory_map(const RamRegions& ram, bool ecam = false);

}  // namespace vmm::arch::x86_64
