// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What is where in a qcow2 file: docs/interop/qcow2 of QEMU's sources, versions 2 and 3. Numbers
// are big-endian. None of them is to be believed.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>

#include "vmm/base/endian.h"
#include "vmm/base/result.h"
#include "vmm/block/image_file.h"

namespace vmm::block::qcow2 {

template <class T>
[[nodiscard]] T load_be(const std::byte* at) {
  Endian<T, std::endian::big> word;
  std::memcpy(&word, at, sizeof(word));
  return word.get();
}
template <class T>
void store_be(std::byte* at, T value) {
  const Endian<T, std::endian::big> word(value);
  std::memcpy(at, &word, sizeof(word));
}

inline constexpr std::uint64_t kSector = 512;
inline constexpr std::uint64_t kWord = 8;  // of the L1 table, L2 tables and the refcount table

// Offsets in the header.
inline constexpr std::size_t kHeaderDiskBytes = 24;  // then encryption (32), L1 entries and offset
inline constexpr std::size_t kHeaderL1Entries = 36;
inline constexpr std::size_t kHeaderRefcountTable = 48;  // then its clusters (32)
inline constexpr std::size_t kHeaderIncompatible = 72;
inline constexpr std::size_t kHeaderAutoclear = 88;
inline constexpr std::size_t kHeaderBytesV2 = 72;
inline constexpr std::size_t kHeaderBytesV3 = 104;

// Incompatible features.
inline constexpr std::uint64_t kDirty = 1 << 0;
inline constexpr std::uint64_t kCorrupt = 1 << 1;
inline constexpr std::uint64_t kExternalData = 1 << 2;
inline constexpr std::uint64_t kCompressionType = 1 << 3;
inline constexpr std::uint64_t kExtendedL2 = 1 << 4;

// Entries of L1 and L2 tables.
inline constexpr std::uint64_t kEntryCopied = std::uint64_t{1}
                                              << 63;  // its cluster's refcount is 1
inline constexpr std::uint64_t kEntryPacked = std::uint64_t{1} << 62;  // L2: compressed
inline constexpr std::uint64_t kEntryZeroes = 1;  // L2 of version 3: reads as zeros
inline constexpr std::uint64_t kEntryOffset = 0x00ff'ffff'ffff'fe00;

enum class Compression : std::uint8_t { kZlib = 0, kZstd = 1 };

/// What the header says, all of it checked by itself: sizes and alignments, not overlaps.
struct Header {
  std::uint32_t version = 3;
  std::uint32_t cluster_bits = 16;
  std::uint64_t disk_bytes = 0;
  std::uint32_t l1_entries = 0;
  std::uint64_t l1_offset = 0;
  std::uint64_t refcount_table_offset = 0;
  std::uint32_t refcount_table_clusters = 0;
  std::uint32_t snapshots = 0;
  std::uint64_t snapshots_offset = 0;
  std::uint64_t incompatible = 0;
  std::uint64_t autoclear = 0;
  std::uint32_t refcount_order = 4;
  Compression compression = Compression::kZlib;
  std::optional<std::string> backing_file;
  std::optional<std::string> backing_format;

  [[nodiscard]] std::uint64_t cluster_bytes() const { return std::uint64_t{1} << cluster_bits; }
  /// How many clusters `bytes` take.
  [[nodiscard]] std::uint64_t clusters_for(std::uint64_t bytes) const {
    return (bytes + cluster_bytes() - 1) >> cluster_bits;
  }
  /// How much of a table is read at once.
  [[nodiscard]] std::size_t slice_bytes() const {
    return static_cast<std::size_t>(std::min(cluster_bytes(), std::uint64_t{4096}));
  }
  [[nodiscard]] std::uint64_t l2_entries() const { return cluster_bytes() / kWord; }
  [[nodiscard]] std::uint64_t refcounts_per_block() const {
    return cluster_bytes() * 8 >> refcount_order;
  }
  /// L1 entries that a disk of so many bytes needs.
  [[nodiscard]] std::uint64_t l1_entries_for(std::uint64_t bytes) const {
    const std::uint32_t bits = cluster_bits + cluster_bits - 3;
    return (bytes >> bits) + ((bytes & ((std::uint64_t{1} << bits) - 1)) != 0 ? 1 : 0);
  }
};

/// As much as QEMU takes: what a hostile image can make us read and keep.
inline constexpr std::uint64_t kMaxL1Bytes = 32 << 20;
inline constexpr std::uint64_t kMaxRefcountTableBytes = 8 << 20;
inline constexpr std::uint32_t kMaxSnapshots = 65536;
inline constexpr std::uint64_t kMaxSnapshotBytes = 16 << 20;

/// Errors: EINVAL for what is no qcow2 image or is broken; ENOTSUP for what is not supported; both
/// say what it is. Those of pread(2).
Result<Header> read_header(const ImageFile& file);

/// What an L2 entry says of its cluster.
struct Cluster {
  enum class Kind : std::uint8_t {
    kNone,    ///< the backing file has it, or it is zero
    kZero,    ///< reads as zeros; may have a place all the same
    kData,    ///< at `host`
    kPacked,  ///< compressed: `packed_bytes` at most at `host`, which need not be aligned
  };
  Kind kind = Kind::kNone;
  bool copied = false;     ///< nobody else uses its place
  std::uint64_t host = 0;  ///< 0: no place
  std::uint64_t packed_bytes = 0;
};

/// Errors: EIO for entries that cannot be.
Result<Cluster> decode_cluster(const Header& header, std::uint64_t entry);

}  // namespace vmm::block::qcow2
