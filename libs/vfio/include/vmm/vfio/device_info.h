// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vfio/vfio_error.h"

// What the kernel says of a device. The bytes are checked like anybody's: a vfio-user server or a
// broken driver may be behind them.

namespace vmm::vfio {

/// Kinds of devices: VFIO_DEVICE_FLAGS_*. Those of an AMBA bus are platform devices too.
enum class DeviceKind : std::uint8_t { kPci, kPlatform, kOther };

/// struct vfio_device_info.
struct DeviceInfo {
  DeviceKind kind = DeviceKind::kOther;  ///< PCI wins where there are several
  bool resettable = false;               ///< VFIO_DEVICE_FLAGS_RESET
  std::uint32_t regions = 0;             ///< numbers of regions, of which some may have no bytes
  std::uint32_t interrupts = 0;          ///< kinds of interrupts: INTx, MSI, ... of a PCI device
};

/// Bytes of a region: [offset, offset + bytes).
struct RegionArea {
  /// @{
  std::uint64_t offset = 0;  ///< in the region
  std::uint64_t bytes = 0;
  /// @}

  friend bool operator==(const RegionArea&, const RegionArea&) = default;
};

/// What a region of a device's own kind is: VFIO_REGION_INFO_CAP_TYPE.
struct RegionType {
  /// @{
  std::uint32_t type = 0;  ///< VFIO_REGION_TYPE_*, or of a PCI vendor; and the vendor's own number
  std::uint32_t subtype = 0;
  /// @}

  friend bool operator==(const RegionType&, const RegionType&) = default;
};

/// A region: a BAR, the configuration space, the registers of a platform device.
struct RegionInfo {
  std::uint32_t index = 0;  ///< its number among the device's
  /// @{
  bool readable = false;  ///< by read(2) and write(2), and by mappings
  bool writable = false;
  /// @}
  /// The MSI-X table may be mapped with the rest of its BAR.
  bool msix_mappable = false;
  std::uint64_t bytes = 0;        ///< 0: there is no such region
  std::uint64_t file_offset = 0;  ///< where it begins in the device's descriptor
  /// What can be mapped, ascending; all of it, when the kernel lists no areas. Each is of whole
  /// pages and inside the region; kMaxAreas at most, the first of the list.
  std::vector<RegionArea> mappable = {};
  std::optional<RegionType> type = std::nullopt;  ///< of regions beyond the fixed ones
};

/// Interrupts of one kind.
struct IrqInfo {
  std::uint32_t index = 0;  ///< the kind, among the device's
  std::uint32_t count = 0;  ///< how many there are; 0: no such kind
  bool eventfd = false;     ///< can signal an eventfd; without that it cannot be used here
  bool maskable = false;    ///< can be masked by calls
  bool automasked = false;  ///< masked when it comes, as level-triggered ones are
  bool fixed_size = false;  ///< all vectors are enabled at once; none can be added
};

/// Answers longer than this are refused.
inline constexpr std::size_t kMaxInfoBytes = 65536;
/// Of a region; each is a mapping of this process and a memory slot of the guest, which come and go
/// with one write of the guest's. What a list has beyond these is not mapped: it is slow.
inline constexpr std::size_t kMaxAreas = 64;

/// Reads a struct vfio_region_info with its capabilities. Capabilities that nobody here knows are
/// passed over; the length of a chain is bounded by the bytes there are.
/// Errors: kShortInfo, kBadCapability, kBadArea.
Result<RegionInfo, VfioError> parse_region_info(std::span<const std::byte> bytes);

}  // namespace vmm::vfio
