// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_blk/request.h"

namespace vmm::virtio_blk {
namespace {

using virtio_queue::Chain;

constexpr std::uint32_t kHeaderBytes = sizeof(RequestHeader);

struct Shape {
  std::uint32_t readable;  // data, without the header
  std::uint32_t writable;  // without the status
};

bool moves_whole_sectors(const DiskRules& disk, std::uint64_t sector, std::uint32_t bytes) {
  return bytes % kSectorBytes == 0 && disk.holds(sector, bytes / kSectorBytes);
}

bool is_segment_list(const Shape& shape) {
  return shape.writable == 0 && shape.readable != 0 && shape.readable % sizeof(RangeSegment) == 0 &&
         shape.readable / sizeof(RangeSegment) <= kMaxSegments;
}

Result<Request, Status> check_ranges(RequestType type, BlkFeature feature, const Shape& shape,
                                     const DiskRules& disk) {
  if (disk.read_only) return fail(Status::kIoError);
  if (!disk.has(feature)) return fail(Status::kUnsupported);
  if (!is_segment_list(shape)) return fail(Status::kIoError);
  return Request{.type = type, .data_bytes = shape.readable};
}

Result<Request, Status> check(const RequestHeader& header, const Shape& shape,
                              const DiskRules& disk) {
  const std::uint64_t sector = header.sector.get();
  const auto type = static_cast<RequestType>(header.type.get());
  switch (type) {
    case RequestType::kIn:
      if (shape.readable != 0 || !moves_whole_sectors(disk, sector, shape.writable)) break;
      return Request{.type = type, .sector = sector, .data_bytes = shape.writable};
    case RequestType::kOut:
      if (disk.read_only || shape.writable != 0 ||
          !moves_whole_sectors(disk, sector, shape.readable)) {
        break;
      }
      return Request{.type = type, .sector = sector, .data_bytes = shape.readable};
    case RequestType::kFlush:
      if (!disk.has(BlkFeature::kFlush)) return fail(Status::kUnsupported);
      if (sector != 0) break;
      return Request{.type = type};
    case RequestType::kGetId:
      if (shape.readable != 0 || shape.writable != kIdBytes) break;
      return Request{.type = type, .data_bytes = kIdBytes};
    case RequestType::kDiscard:
      return check_ranges(type, BlkFeature::kDiscard, shape, disk);
    case RequestType::kWriteZeroes:
      return check_ranges(type, BlkFeature::kWriteZeroes, shape, disk);
    default:
      return fail(Status::kUnsupported);
  }
  return fail(Status::kIoError);
}

Result<void, Status> check_segment(const RangeSegment& segment, RequestType type,
                                   const DiskRules& disk) {
  const bool zeroes = type == RequestType::kWriteZeroes;
  const std::uint32_t allowed = zeroes ? kSegmentUnmap : 0;
  if ((segment.flags.get() & ~allowed) != 0) return fail(Status::kUnsupported);
  const std::uint32_t sectors = segment.sectors.get();
  if (sectors > (zeroes ? kMaxZeroesSectors : kMaxDiscardSectors) ||
      !disk.holds(segment.sector.get(), sectors)) {
    return fail(Status::kIoError);
  }
  return {};
}

}  // namespace

Result<Request, Status> parse_request(const Chain& chain, const DiskRules& disk) {
  const auto header = chain.reader().read_obj<RequestHeader>();
  if (!header || chain.writable_bytes() == 0) return fail(Status::kIoError);
  const Shape shape{.readable = chain.readable_bytes() - kHeaderBytes,
                    .writable = chain.writable_bytes() - 1};
  return check(*header, shape, disk);
}

Result<void, Status> read_segments(const Chain& chain, const Request& request,
                                   const DiskRules& disk, std::span<RangeSegment> out) {
  virtio_queue::Reader reader = chain.reader();
  (void)reader.skip(kHeaderBytes);
  for (RangeSegment& segment : out.first(request.data_bytes / sizeof(RangeSegment))) {
    const auto read = reader.read_obj<RangeSegment>();
    if (!read) return fail(Status::kIoError);
    segment = *read;
    VMM_TRY_DO(check_segment(segment, request.type, disk));
  }
  return {};
}

std::span<const IoVec> list_data(const Chain& chain, const Request& request,
                                 std::span<IoVec> room) {
  if (request.type == RequestType::kIn) {
    const auto pieces = chain.unsafe_writable();
    if (pieces.back().bytes == 1) return pieces.first(pieces.size() - 1);
    return room.first(chain.writer().unsafe_iovec(room, request.data_bytes));
  }
  const auto pieces = chain.unsafe_readable();
  if (pieces.front().bytes == kHeaderBytes) return pieces.subspan(1);
  virtio_queue::Reader reader = chain.reader();
  (void)reader.skip(kHeaderBytes);
  return room.first(reader.unsafe_iovec(room, request.data_bytes));
}

}  // namespace vmm::virtio_blk
