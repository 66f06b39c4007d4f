// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/vfio/device_info.h"
#include "vmm/vfio_pci/quirk.h"

namespace vmm::vfio_pci::detail {

enum class PartKind : std::uint8_t { kTable, kPending, kQuirk };

/// A part of a BAR that is not the device's alone.
struct BarPart {
  PartKind kind = PartKind::kQuirk;
  BarArea area;
  Quirk* quirk = nullptr;
};

/// A piece of an access: bytes of one part, or of the device.
struct Piece {
  const BarPart* part = nullptr;  ///< nullptr: the device's
  std::uint64_t offset = 0;       ///< in the BAR
  std::size_t bytes = 0;
};

/// The special parts of all BARs.
class BarParts {
 public:
  /// The area does not pass the end of the address space.
  void add(const BarPart& part) { parts_.push_back(part); }

  /// The first piece of an access, which has at least one byte.
  [[nodiscard]] Piece first(const BarArea& access) const;
  /// What of `areas` the guest may reach by itself: whole pages without any part.
  [[nodiscard]] std::vector<vfio::RegionArea> without_parts(std::uint8_t bar,
                                                            std::span<const vfio::RegionArea> areas,
                                                            std::uint64_t page) const;

 private:
  std::vector<BarPart> parts_;
};

}  // namespace vmm::vfio_pci::detail
