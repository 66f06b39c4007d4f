// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/base/io_vec.h"
#include "vmm/base/result.h"
#include "vmm/virtio_blk/layout.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_blk {

/// Ranges that one discard or write of zeroes may have.
inline constexpr std::uint32_t kMaxSegments = 16;
/// Sectors of one range of a discard: 1 GiB.
inline constexpr std::uint32_t kMaxDiscardSectors = std::uint32_t{1} << 21;
/// Sectors of one range of zeroes: 64 MiB. What the file system cannot do by itself, the worker
/// writes, and must not be away for long.
inline constexpr std::uint32_t kMaxZeroesSectors = std::uint32_t{1} << 17;

/// What a request is measured against.
struct DiskRules {
  std::uint64_t sectors = 0;   ///< of the disk
  std::uint64_t features = 0;  ///< negotiated, but for kReadOnly, which need not be
  /// The image cannot be written; also for a driver that did not take kReadOnly.
  bool read_only = false;

  /// Whether the feature was negotiated.
  [[nodiscard]] bool has(BlkFeature feature) const { return (features & bit(feature)) != 0; }
  /// Whether the range lies on the disk.
  [[nodiscard]] bool holds(std::uint64_t sector, std::uint64_t count) const {
    return sector <= sectors && count <= sectors - sector;
  }
};

/// A request that can be done as far as its shape is concerned.
struct Request {
  RequestType type = RequestType::kIn;  ///< one that the device knows
  std::uint64_t sector = 0;             ///< kIn and kOut
  std::uint32_t data_bytes = 0;         ///< without header and status
};

/// Looks at a request: its header is read once, and all lengths are checked. How it is cut into
/// descriptors does not matter: 2.7.4.
///
/// Errors: what is to be the status: kUnsupported for types that the device does not know and for
/// those whose feature was not negotiated; kIoError for the rest: a short header, data of a wrong
/// length or direction, sectors beyond the end, writes to a read-only disk (5.2.6.2). A chain
/// without a writable byte, which has no place for a status, is a kIoError too.
Result<Request, Status> parse_request(const virtio_queue::Chain& chain, const DiskRules& disk);

/// Copies the ranges of a discard or a write of zeroes and checks them all. `out` has room for
/// data_bytes / 16 of them. Errors: kUnsupported for flags against 5.2.6.2; kIoError for sectors
/// beyond the end and too long ranges.
Result<void, Status> read_segments(const virtio_queue::Chain& chain, const Request& request,
                                   const DiskRules& disk, std::span<RangeSegment> out);

/// Where the data of a kIn or kOut is; `room` takes the list when header or status share a piece
/// with it, and has room for all pieces of the chain.
[[nodiscard]] std::span<const IoVec> list_data(const virtio_queue::Chain& chain,
                                               const Request& request, std::span<IoVec> room);

}  // namespace vmm::virtio_blk
