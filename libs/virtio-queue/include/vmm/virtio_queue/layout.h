// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What rings look like in guest memory: virtio 1.3, 2.7 (split) and 2.8 (packed). All fields are
// little-endian. Offsets are in bytes.

#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_queue {

inline constexpr std::uint16_t kMaxQueueSize = 32768;  ///< 2.7, 2.8

///@{
/// Flags of a descriptor: 2.7.5, 2.8.3, 2.8.6, 2.8.7; the last two 2.8.1.
inline constexpr std::uint16_t kDescNext = 1;
inline constexpr std::uint16_t kDescWrite = 2;
inline constexpr std::uint16_t kDescIndirect = 4;
inline constexpr std::uint16_t kDescAvail = 1 << 7;  ///< packed
inline constexpr std::uint16_t kDescUsed = 1 << 15;  ///< packed
///@}

inline constexpr std::uint16_t kAvailNoInterrupt = 1;  ///< split, driver area; 2.7.6
inline constexpr std::uint16_t kUsedNoNotify = 1;      ///< split, device area; 2.7.8

///@{
/// Flags of an event suppression structure: 2.8.10.
inline constexpr std::uint16_t kEventsEnable = 0;
inline constexpr std::uint16_t kEventsDisable = 1;
inline constexpr std::uint16_t kEventsDescriptor = 2;
///@}

///@{
/// Feature bits that change the queues: section 6.
inline constexpr std::uint64_t kFeatureIndirect = std::uint64_t{1} << 28;
inline constexpr std::uint64_t kFeatureEventIdx = std::uint64_t{1} << 29;
inline constexpr std::uint64_t kFeaturePacked = std::uint64_t{1} << 34;
inline constexpr std::uint64_t kFeatureInOrder = std::uint64_t{1} << 35;
inline constexpr std::uint64_t kFeatureNotificationData = std::uint64_t{1} << 38;
inline constexpr std::uint64_t kFeatureRingReset = std::uint64_t{1} << 40;
///@}

/// A descriptor of a split ring or of an indirect table of one: 2.7.5.
struct SplitDescriptor {
  ///@{
  /// `struct virtq_desc`, where `address` is called addr and `length` len.
  Le64 address;
  Le32 length;
  Le16 flags;
  Le16 next;
  ///@}
};
static_assert(sizeof(SplitDescriptor) == 16);

/// A descriptor of a packed ring or of an indirect table of one: 2.8.13.
struct PackedDescriptor {
  ///@{
  /// `struct pvirtq_desc`, where `address` is called addr and `length` len.
  Le64 address;
  Le32 length;
  Le16 id;
  Le16 flags;
  ///@}
};
static_assert(sizeof(PackedDescriptor) == 16);

inline constexpr std::uint32_t kDescriptorBytes = 16;  ///< of each kind of descriptor

/// The driver area of a split ring: flags, idx, ring[], used_event.
struct SplitAvail {
  ///@{
  /// Offsets of the fields of `struct virtq_avail`: 2.7.6. `at` is below the queue size.
  static constexpr std::size_t kFlags = 0;
  static constexpr std::size_t kIndex = 2;
  static constexpr std::size_t kRing = 4;
  static constexpr std::size_t entry(std::size_t at) { return kRing + 2 * at; }
  static constexpr std::size_t used_event(std::uint32_t size) { return entry(size); }
  ///@}
};

/// The device area of a split ring: flags, idx, ring[] of {id, length}, avail_event.
struct SplitUsed {
  ///@{
  /// Offsets of the fields of `struct virtq_used`: 2.7.8. `at` is below the queue size.
  static constexpr std::size_t kFlags = 0;
  static constexpr std::size_t kIndex = 2;
  static constexpr std::size_t kRing = 4;
  static constexpr std::size_t entry(std::size_t at) { return kRing + 8 * at; }
  static constexpr std::size_t avail_event(std::uint32_t size) { return entry(size); }
  ///@}
};

/// How many bytes each part of a queue takes, and how it is aligned.
struct RingLayout {
  std::size_t descriptors;  ///< bytes; 16-byte aligned
  std::size_t driver;       ///< bytes
  std::size_t device;       ///< bytes
  ///@{
  /// Bytes, a power of two.
  std::size_t driver_alignment;
  std::size_t device_alignment;
  ///@}
};

/// The layout of a queue of `size` descriptors: 2.7 and 2.8.
[[nodiscard]] constexpr RingLayout ring_layout(std::uint16_t size, bool packed) {
  const std::size_t n = size;
  if (packed) {
    return {.descriptors = 16 * n,
            .driver = 4,
            .device = 4,
            .driver_alignment = 4,
            .device_alignment = 4};
  }
  return {.descriptors = 16 * n,
          .driver = 6 + 2 * n,
          .device = 6 + 8 * n,
          .driver_alignment = 2,
          .device_alignment = 4};
}

}  // namespace vmm::virtio_queue
