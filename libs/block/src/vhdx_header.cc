// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Finds out where things are in a VHDX image.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "crc32c.h"
#include "file_parts.h"
#include "vhdx_format.h"
#include "vmm/base/checked.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::block::vhdx {
namespace {

using namespace std::string_view_literals;

constexpr std::string_view kFileMark = "vhdxfile"sv;
constexpr std::string_view kHeaderMark = "head"sv;
constexpr std::string_view kRegionMark = "regi"sv;
constexpr std::string_view kMetadataMark = "metadata"sv;
constexpr std::size_t kChecksumAt = 4;
constexpr std::size_t kTableBytes = 64 << 10;  // of each list below, whatever is in it
constexpr std::size_t kMaxListed = 2047;
constexpr std::uint32_t kRequiredRegion = 1;
constexpr std::uint32_t kRequiredItem = 4;
constexpr std::uint32_t kHasParent = 2;
constexpr std::uint64_t kSectorsPerChunk = 1 << 23;
constexpr std::uint32_t kSector = 512;

struct RegionEntry {
  Guid id{};
  Le64 at;
  Le32 bytes;
  Le32 flags;
};
static_assert(sizeof(RegionEntry) == 32);

struct ItemEntry {
  Guid id{};
  Le32 at;  // in the region
  Le32 bytes;
  Le32 flags;
  Le32 reserved;
};
static_assert(sizeof(ItemEntry) == 32);

constexpr Guid kTableRegion{0x66, 0x77, 0xc2, 0x2d, 0x23, 0xf6, 0x00, 0x42,
                            0x9d, 0x64, 0x11, 0x5e, 0x9b, 0xfd, 0x4a, 0x08};
constexpr Guid kMetadataRegion{0x06, 0xa2, 0x7c, 0x8b, 0x90, 0x47, 0x9a, 0x4b,
                               0xb8, 0xfe, 0x57, 0x5f, 0x05, 0x0f, 0x88, 0x6e};
constexpr Guid kFileParameters{0x37, 0x67, 0xa1, 0xca, 0x36, 0xfa, 0x43, 0x4d,
                               0xb3, 0xb6, 0x33, 0xf0, 0xaa, 0x44, 0xe7, 0x6b};
constexpr Guid kDiskSize{0x24, 0x42, 0xa5, 0x2f, 0x1b, 0xcd, 0x76, 0x48,
                         0xb2, 0x11, 0x5d, 0xbe, 0xd8, 0x3b, 0xf4, 0xb8};
constexpr Guid kLogicalSector{0x1d, 0xbf, 0x41, 0x81, 0x6f, 0xa9, 0x09, 0x47,
                              0xba, 0x47, 0xf2, 0x33, 0xa8, 0xfa, 0xab, 0x5f};
// What is said in these is not asked for.
constexpr Guid kPhysicalSector{0xc7, 0x48, 0xa3, 0xcd, 0x5d, 0x44, 0x71, 0x44,
                               0x9c, 0xc9, 0xe9, 0x88, 0x52, 0x51, 0xc5, 0x56};
constexpr Guid kDiskId{0xab, 0x12, 0xca, 0xbe, 0xe6, 0xb2, 0x23, 0x45,
                       0x93, 0xef, 0xc3, 0x09, 0xe0, 0x00, 0xc7, 0x46};
constexpr Guid kParent{0x2d, 0x5f, 0xd3, 0xa8, 0x0b, 0xb3, 0x4d, 0x45,
                       0xab, 0xf7, 0xd3, 0xd8, 0x48, 0x34, 0xab, 0x0c};

Unexpected<Error> broken(const char* what) { return fail(Error::os(EINVAL, what)); }
Unexpected<Error> unsupported(const char* what) { return fail(Error::os(ENOTSUP, what)); }

bool starts_with(std::span<const std::byte> bytes, std::string_view mark) {
  return bytes.size() >= mark.size() && std::memcmp(bytes.data(), mark.data(), mark.size()) == 0;
}

template <class T>
T object_at(std::span<const std::byte> bytes, std::size_t at) {
  T object;
  std::memcpy(&object, bytes.data() + at, sizeof(object));
  return object;
}

// With zeros in place of the checksum itself.
std::uint32_t checksum_of(std::span<const std::byte> bytes) {
  constexpr std::array<std::byte, 4> kZeros{};
  const std::uint32_t front = crc32c(kZeros, crc32c(bytes.first(kChecksumAt)));
  return crc32c(bytes.subspan(kChecksumAt + kZeros.size()), front);
}

bool is_sound(std::span<const std::byte> bytes, std::string_view mark) {
  return starts_with(bytes, mark) &&
         load_le<std::uint32_t>(&bytes[kChecksumAt]) == checksum_of(bytes);
}

bool overlap(const ByteRange& a, const ByteRange& b) {
  return a.bytes != 0 && b.bytes != 0 && a.offset < b.offset + b.bytes &&
         b.offset < a.offset + a.bytes;
}

Result<void> find_header(const ImageFile& file, Layout& layout) {
  std::optional<std::uint64_t> newest;
  for (std::size_t i = 0; i < kHeaderAt.size(); ++i) {
    std::array<std::byte, sizeof(Header)> bytes{};
    VMM_TRY_DO(read_or_zeros(file.buffered_fd(), bytes, kHeaderAt[i]));
    const auto header = object_at<Header>(bytes, 0);
    const std::uint64_t sequence = header.sequence.get();
    if (!is_sound(bytes, kHeaderMark) || (newest && sequence <= *newest)) continue;
    newest = sequence;
    layout.header = header;
    layout.header_index = i;
  }
  if (!newest) return broken("open the VHDX image: neither of its headers is sound");
  if (layout.header.version.get() != 1) {
    return unsupported("open the VHDX image: its version is not known");
  }
  if (layout.header.log != Guid{}) {
    return unsupported("open the VHDX image: its log is to be played first: qemu-img check -r all");
  }
  layout.log = {.offset = layout.header.log_at.get(), .bytes = layout.header.log_bytes.get()};
  return {};
}

Result<ByteRange> region_range(const RegionEntry& region, std::uint64_t file_bytes) {
  const ByteRange range{.offset = region.at.get(), .bytes = region.bytes.get()};
  if (range.offset < kMiB || range.offset % kMiB != 0 || range.bytes == 0 ||
      !fits(range.offset, range.bytes, file_bytes)) {
    return broken("open the VHDX image: a region is where none can be");
  }
  return range;
}

Result<void> find_regions(const ImageFile& file, std::uint64_t file_bytes, Layout& layout) {
  std::vector<std::byte> bytes(kTableBytes);
  bool sound = false;
  for (const std::uint64_t at : kRegionTableAt) {
    if (sound) break;
    VMM_TRY_DO(read_or_zeros(file.buffered_fd(), bytes, at));
    sound = is_sound(bytes, kRegionMark);
  }
  const std::size_t count = load_le<std::uint32_t>(&bytes[8]);
  if (!sound || count > kMaxListed) {
    return broken("open the VHDX image: its list of regions is not sound");
  }
  for (std::size_t i = 0; i < count; ++i) {
    const auto region = object_at<RegionEntry>(bytes, 16 + i * sizeof(RegionEntry));
    if (region.id != kTableRegion && region.id != kMetadataRegion) {
      if ((region.flags.get() & kRequiredRegion) == 0) continue;
      return unsupported("open the VHDX image: it has a region that is not known");
    }
    ByteRange& place = region.id == kTableRegion ? layout.table : layout.metadata;
    if (place.bytes != 0) return broken("open the VHDX image: it has two regions of a kind");
    VMM_TRY(place, region_range(region, file_bytes));
  }
  if (layout.table.bytes == 0 || layout.metadata.bytes == 0) {
    return broken("open the VHDX image: a region is missing");
  }
  return {};
}

/// What the metadata says.
struct Metadata {
  std::uint64_t block_bytes = 0;
  std::uint32_t flags = 0;
  std::uint64_t disk_bytes = 0;
  std::uint32_t sector_bytes = 0;
};

/// The place of an item's value in `found`; an empty one for those that are only known.
std::optional<std::span<std::byte>> place_of(const Guid& id, std::span<std::byte, 20> found) {
  if (id == kFileParameters) return found.first(8);
  if (id == kDiskSize) return found.subspan(8, 8);
  if (id == kLogicalSector) return found.subspan(16, 4);
  if (id == kPhysicalSector || id == kDiskId || id == kParent) return std::span<std::byte>();
  return std::nullopt;
}

Result<Metadata> read_metadata(const ImageFile& file, const ByteRange& region) {
  std::vector<std::byte> bytes(kTableBytes);
  VMM_TRY_DO(read_or_zeros(file.buffered_fd(), bytes, region.offset));
  const std::size_t count = load_le<std::uint16_t>(&bytes[10]);
  if (!starts_with(bytes, kMetadataMark) || count > kMaxListed) {
    return broken("open the VHDX image: its metadata is not sound");
  }
  std::array<std::byte, 20> found{};
  for (std::size_t i = 0; i < count; ++i) {
    const auto item = object_at<ItemEntry>(bytes, (i + 1) * sizeof(ItemEntry));
    const auto place = place_of(item.id, found);
    if (!place && (item.flags.get() & kRequiredItem) != 0) {
      return unsupported("open the VHDX image: its metadata has something that is not known");
    }
    if (!place || place->empty()) continue;
    const std::uint64_t at = item.at.get();
    if (at < kTableBytes || item.bytes.get() != place->size() ||
        !fits<std::uint64_t>(at, place->size(), region.bytes)) {
      return broken("open the VHDX image: its metadata is where none can be");
    }
    VMM_TRY_DO(read_or_zeros(file.buffered_fd(), *place, region.offset + at));
  }
  return Metadata{.block_bytes = load_le<std::uint32_t>(&found[0]),
                  .flags = load_le<std::uint32_t>(&found[4]),
                  .disk_bytes = load_le<std::uint64_t>(&found[8]),
                  .sector_bytes = load_le<std::uint32_t>(&found[16])};
}

Result<void> set_sizes(const Metadata& metadata, Layout& layout) {
  if ((metadata.flags & kHasParent) != 0) {
    return unsupported("open the VHDX image: it is the difference to another one");
  }
  if (!is_power_of_two(metadata.block_bytes) || metadata.block_bytes < kMinBlockBytes ||
      metadata.block_bytes > kMaxBlockBytes) {
    return broken("open the VHDX image: its block size");
  }
  if (metadata.sector_bytes != kSector) {
    if (metadata.sector_bytes != 4096) return broken("open the VHDX image: its sector size");
    return unsupported("open the VHDX image: its sectors are of 4096 bytes");
  }
  if (metadata.disk_bytes == 0 || metadata.disk_bytes % kSector != 0 ||
      metadata.disk_bytes > kMaxDiskBytes) {
    return broken("open the VHDX image: its size");
  }
  layout.disk_bytes = metadata.disk_bytes;
  layout.block_bytes = metadata.block_bytes;
  layout.blocks_per_chunk = kSectorsPerChunk * kSector / metadata.block_bytes;
  const std::uint64_t table_bytes = layout.entries() * sizeof(std::uint64_t);
  if (table_bytes > layout.table.bytes) {
    return broken("open the VHDX image: its table of blocks is too short");
  }
  if (table_bytes > kMaxTableBytes) {
    return fail(Error::os(EFBIG, "open the VHDX image: its table of blocks is too long"));
  }
  return {};
}

}  // namespace

bool Layout::is_data(const ByteRange& range) const {
  return range.offset >= kMiB && checked_add(range.offset, range.bytes) && !overlap(range, log) &&
         !overlap(range, table) && !overlap(range, metadata);
}

Result<Layout> read_layout(const ImageFile& file) {
  std::array<std::byte, 8> mark{};
  VMM_TRY_DO(read_or_zeros(file.buffered_fd(), mark, 0));
  if (!starts_with(mark, kFileMark)) return broken("open the image: it is not VHDX");
  VMM_TRY(const std::uint64_t file_bytes, file.size_bytes());
  Layout layout;
  VMM_TRY_DO(find_header(file, layout));
  VMM_TRY_DO(find_regions(file, file_bytes, layout));
  const bool log_fits =
      layout.log.bytes == 0 ||
      (layout.log.offset >= kMiB && fits(layout.log.offset, layout.log.bytes, file_bytes));
  if (!log_fits || overlap(layout.table, layout.metadata) || overlap(layout.table, layout.log) ||
      overlap(layout.metadata, layout.log)) {
    return broken("open the VHDX image: its parts overlap");
  }
  VMM_TRY(const Metadata metadata, read_metadata(file, layout.metadata));
  VMM_TRY_DO(set_sizes(metadata, layout));
  return layout;
}

Result<void> write_headers(const ImageFile& file, Layout& layout) {
  for (std::size_t i = 0; i < kHeaderAt.size(); ++i) {
    layout.header.sequence = Le64(layout.header.sequence.get() + 1);
    const auto bytes = std::as_bytes(std::span(&layout.header, 1));
    layout.header.checksum = Le32(checksum_of(bytes));
    const std::size_t index = layout.header_index ^ 1;
    VMM_TRY_DO(sys_util::pwrite_all(file.buffered_fd(), bytes, kHeaderAt[index]));
    VMM_TRY_DO(file.sync_data());
    layout.header_index = index;
  }
  return {};
}

}  // namespace vmm::block::vhdx
