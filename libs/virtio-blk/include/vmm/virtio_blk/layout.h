// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the block device and its driver say to each other: virtio 1.3, 5.2. All fields are
// little-endian.

#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_blk {

inline constexpr std::uint32_t kSectorBytes = 512;  ///< of the protocol, whatever the block size
inline constexpr std::uint32_t kIdBytes = 20;       ///< of a device id: 5.2.6

/// Feature bits: 5.2.3.
enum class BlkFeature : std::uint8_t {
  kSizeMax = 1,
  kSegMax = 2,
  kGeometry = 4,
  kReadOnly = 5,
  kBlkSize = 6,
  kFlush = 9,
  kTopology = 10,
  kConfigWce = 11,
  kMq = 12,
  kDiscard = 13,
  kWriteZeroes = 14,
};

/// The feature's bit of the 64.
[[nodiscard]] constexpr std::uint64_t bit(BlkFeature feature) {
  return std::uint64_t{1} << static_cast<unsigned>(feature);
}

/// Types of requests: 5.2.6. There are more, which this device does not know.
enum class RequestType : std::uint32_t {
  kIn = 0,
  kOut = 1,
  kFlush = 4,
  kGetId = 8,
  kDiscard = 11,
  kWriteZeroes = 13,
};

/// How a request ended: its last byte.
enum class Status : std::uint8_t { kOk = 0, kIoError = 1, kUnsupported = 2 };

/// What every request starts with.
struct RequestHeader {
  ///@{
  /// The first fields of `struct virtio_blk_req`: 5.2.6.
  Le32 type;
  Le32 reserved;
  Le64 sector;
  ///@}
};
static_assert(sizeof(RequestHeader) == 16);

/// One of the ranges that a discard or a write of zeroes has as its data.
struct RangeSegment {
  ///@{
  /// `struct virtio_blk_discard_write_zeroes`, where `sectors` is called num_sectors: 5.2.6.
  Le64 sector;
  Le32 sectors;
  Le32 flags;
  ///@}
};
static_assert(sizeof(RangeSegment) == 16);

inline constexpr std::uint32_t kSegmentUnmap = 1;  ///< the only flag; for writes of zeroes

/// The configuration space: 5.2.4. The device has kConfigBytes of it, up to what secure erase and
/// zones add.
struct BlkConfig {
  ///@{
  /// `struct virtio_blk_config`: 5.2.4.
  Le64 capacity;  ///< sectors
  Le32 size_max;
  Le32 seg_max;
  Le16 cylinders;
  std::uint8_t heads;
  std::uint8_t sectors;
  Le32 blk_size;                    ///< bytes
  std::uint8_t physical_block_exp;  ///< log2 of logical blocks in a physical one
  std::uint8_t alignment_offset;
  Le16 min_io_size;  ///< logical blocks
  Le32 opt_io_size;  ///< logical blocks
  std::uint8_t writeback;
  std::uint8_t unused0;
  Le16 num_queues;
  Le32 max_discard_sectors;
  Le32 max_discard_seg;
  Le32 discard_sector_alignment;  ///< sectors
  Le32 max_write_zeroes_sectors;
  Le32 max_write_zeroes_seg;
  std::uint8_t write_zeroes_may_unmap;
  std::uint8_t unused1[3];
  Le32 max_secure_erase_sectors;  ///< the first of what is not offered
  ///@}
};
/// Of BlkConfig, what is there for the driver.
inline constexpr std::size_t kConfigBytes = offsetof(BlkConfig, max_secure_erase_sectors);
static_assert(kConfigBytes == 60 && offsetof(BlkConfig, writeback) == 32);

}  // namespace vmm::virtio_blk
