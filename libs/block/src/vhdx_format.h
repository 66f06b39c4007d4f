// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a VHDX image is made of. Numbers are little-endian.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"
#include "vmm/base/result.h"
#include "vmm/block/image.h"
#include "vmm/block/image_file.h"

namespace vmm::block::vhdx {

inline constexpr std::uint64_t kMiB = 1 << 20;  ///< what regions and blocks are aligned to
inline constexpr std::array<std::uint64_t, 2> kHeaderAt{64 << 10, 128 << 10};
inline constexpr std::array<std::uint64_t, 2> kRegionTableAt{192 << 10, 256 << 10};
inline constexpr std::uint64_t kMaxDiskBytes = std::uint64_t{64} << 40;
inline constexpr std::uint64_t kMinBlockBytes = kMiB;
inline constexpr std::uint64_t kMaxBlockBytes = 256 * kMiB;
inline constexpr std::uint64_t kMaxTableBytes = 32 * kMiB;  ///< ours, of the table of blocks

using Guid = std::array<std::uint8_t, 16>;

/// Which of the two is valid is said by the sequence number. A log that is named has to be played
/// before anything else is read.
struct Header {
  std::array<char, 4> signature{};
  Le32 checksum;  // CRC-32C of all 4096 bytes, with zeros here
  Le64 sequence;
  Guid file_write{};  // another one whenever somebody begins to write to the file
  Guid data_write{};  // whenever the disk changes
  Guid log{};
  Le16 log_version;
  Le16 version;
  Le32 log_bytes;
  Le64 log_at;
  std::array<std::byte, 4016> rest{};
};
static_assert(sizeof(Header) == 4096);

/// What stands in the table of blocks. It has an entry for the next block of the disk, and after
/// so many of these (Layout::blocks_per_chunk) one for something that only differences need.
struct Entry {
  static constexpr std::uint64_t kState = 7;
  static constexpr std::uint64_t kPlace = ~(kMiB - 1);

  enum State : std::uint64_t {
    kNotPresent = 0,
    kUndefined = 1,
    kZero = 2,
    kUnmapped = 3,
    kPresent = 6,
    kPartlyPresent = 7,  ///< of differences only
  };
};

/// Where everything is.
struct Layout {
  Header header;                 ///< the valid one
  std::size_t header_index = 0;  ///< its place
  ByteRange log;
  ByteRange table;  ///< of blocks
  ByteRange metadata;
  std::uint64_t disk_bytes = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t blocks_per_chunk = 0;

  /// Of the disk; the last one may be a part of one.
  [[nodiscard]] std::uint64_t blocks() const {
    return (disk_bytes + block_bytes - 1) / block_bytes;
  }
  [[nodiscard]] std::uint64_t entry_of(std::uint64_t block) const {
    return block + block / blocks_per_chunk;
  }
  [[nodiscard]] std::uint64_t entries() const { return entry_of(blocks() - 1) + 1; }
  /// Whether a range of the file has nothing but data in it.
  [[nodiscard]] bool is_data(const ByteRange& range) const;
};

/// Errors: EINVAL for what makes no sense; ENOTSUP for a log that is not empty, differences,
/// sectors of 4096 bytes, and what is not known; EFBIG for a table above kMaxTableBytes.
Result<Layout> read_layout(const ImageFile& file);
/// Writes layout.header, as the next one, to both places in turn, so that at any time one is valid.
Result<void> write_headers(const ImageFile& file, Layout& layout);

}  // namespace vmm::block::vhdx
