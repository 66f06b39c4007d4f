// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <cerrno>
#include <span>
#include <string_view>
#include <vector>

#include "file_parts.h"
#include "qcow2_format.h"

namespace vmm::block::qcow2 {
namespace {

constexpr std::uint32_t kMagic = 0x5146'49fb;
constexpr std::uint32_t kMinClusterBits = 9;
constexpr std::uint32_t kMaxClusterBits = 21;
constexpr std::uint32_t kMaxBackingName = 1023;
constexpr std::uint32_t kExtensionEnd = 0;
constexpr std::uint32_t kExtensionBackingFormat = 0xe279'2aca;
constexpr std::size_t kMaxFormatName = 16;

Unexpected<Error> broken(const char* what) { return fail(Error::os(EINVAL, what)); }
Unexpected<Error> unsupported(const char* what) { return fail(Error::os(ENOTSUP, what)); }

std::string text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The part that both versions have.
Result<Header> read_common(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytesV2 || load_be<std::uint32_t>(bytes.data()) != kMagic) {
    return broken("open the image: it is not qcow2");
  }
  Header header;
  header.version = load_be<std::uint32_t>(&bytes[4]);
  if (header.version != 2 && header.version != 3) {
    return unsupported("open the qcow2 image: its version is neither 2 nor 3");
  }
  header.cluster_bits = load_be<std::uint32_t>(&bytes[20]);
  if (header.cluster_bits < kMinClusterBits || header.cluster_bits > kMaxClusterBits) {
    return broken("open the qcow2 image: its cluster size");
  }
  header.disk_bytes = load_be<std::uint64_t>(&bytes[kHeaderDiskBytes]) / kSector * kSector;
  if (load_be<std::uint32_t>(&bytes[32]) != 0) {
    return unsupported("open the qcow2 image: it is encrypted");
  }
  header.l1_entries = load_be<std::uint32_t>(&bytes[kHeaderL1Entries]);
  header.l1_offset = load_be<std::uint64_t>(&bytes[40]);
  header.refcount_table_offset = load_be<std::uint64_t>(&bytes[kHeaderRefcountTable]);
  header.refcount_table_clusters = load_be<std::uint32_t>(&bytes[56]);
  header.snapshots = load_be<std::uint32_t>(&bytes[60]);
  header.snapshots_offset = load_be<std::uint64_t>(&bytes[64]);
  return header;
}

Result<void> check_features(std::uint64_t incompatible) {
  if ((incompatible & kExternalData) != 0) {
    return unsupported("open the qcow2 image: it keeps its data in another file");
  }
  if ((incompatible & kExtendedL2) != 0) {
    return unsupported("open the qcow2 image: it has subclusters (extended L2 entries)");
  }
  if ((incompatible & ~(kDirty | kCorrupt | kCompressionType)) != 0) {
    return unsupported("open the qcow2 image: it has features that nobody here knows");
  }
  return {};
}

/// The rest of a version 3 header. Returns where the extensions begin.
Result<std::size_t> read_v3(std::span<const std::byte> bytes, Header& header) {
  if (bytes.size() < kHeaderBytesV3) return broken("open the qcow2 image: its header is cut");
  header.incompatible = load_be<std::uint64_t>(&bytes[kHeaderIncompatible]);
  VMM_TRY_DO(check_features(header.incompatible));
  header.autoclear = load_be<std::uint64_t>(&bytes[kHeaderAutoclear]);
  header.refcount_order = load_be<std::uint32_t>(&bytes[96]);
  if (header.refcount_order > 6) return broken("open the qcow2 image: its refcount size");
  const std::size_t length = load_be<std::uint32_t>(&bytes[100]);
  if (length < kHeaderBytesV3 || length % 8 != 0 || length > bytes.size()) {
    return broken("open the qcow2 image: its header's length");
  }
  const bool told = (header.incompatible & kCompressionType) != 0;
  const auto type = length > kHeaderBytesV3 ? std::to_integer<std::uint8_t>(bytes[104]) : 0;
  if (type > 1) return unsupported("open the qcow2 image: its compression is not known");
  if (told != (type != 0)) return broken("open the qcow2 image: its compression type");
  header.compression = static_cast<Compression>(type);
  return length;
}

Result<void> read_extensions(std::span<const std::byte> bytes, Header& header) {
  while (bytes.size() >= 8) {
    const auto type = load_be<std::uint32_t>(bytes.data());
    const std::uint64_t length = load_be<std::uint32_t>(&bytes[4]);
    if (type == kExtensionEnd) return {};
    const std::uint64_t padded = (length + 7) / 8 * 8;
    if (padded > bytes.size() - 8) return broken("open the qcow2 image: a header extension");
    if (type == kExtensionBackingFormat) {
      if (length > kMaxFormatName) return broken("open the qcow2 image: the backing format");
      header.backing_format = text(bytes.subspan(8, static_cast<std::size_t>(length)));
    }
    bytes = bytes.subspan(8 + static_cast<std::size_t>(padded));
  }
  return {};
}

/// The name of the backing file, and where the extensions end because of it.
Result<std::size_t> read_backing(std::span<const std::byte> bytes, std::size_t after_header,
                                 Header& header) {
  const auto offset = load_be<std::uint64_t>(&bytes[8]);
  const std::size_t length = load_be<std::uint32_t>(&bytes[16]);
  if (offset == 0 || length == 0) return bytes.size();
  if (length > kMaxBackingName || offset < after_header || offset > bytes.size() ||
      length > bytes.size() - offset) {
    return broken("open the qcow2 image: the name of its backing file");
  }
  header.backing_file = text(bytes.subspan(static_cast<std::size_t>(offset), length));
  if (header.backing_file->find('\0') != std::string::npos) {
    return broken("open the qcow2 image: the name of its backing file");
  }
  return static_cast<std::size_t>(offset);
}

Result<void> check_tables(const Header& header) {
  const std::uint64_t mask = header.cluster_bytes() - 1;
  const auto is_place = [mask](std::uint64_t offset) {
    return (offset & mask) == 0 && (offset & ~kEntryOffset) == 0;
  };
  if (std::uint64_t{header.l1_entries} * kWord > kMaxL1Bytes || !is_place(header.l1_offset) ||
      header.l1_entries < header.l1_entries_for(header.disk_bytes)) {
    return broken("open the qcow2 image: its L1 table");
  }
  if (!is_place(header.refcount_table_offset) || header.refcount_table_offset == 0 ||
      header.refcount_table_clusters == 0 ||
      header.refcount_table_clusters * header.cluster_bytes() > kMaxRefcountTableBytes) {
    return broken("open the qcow2 image: its refcount table");
  }
  if (header.snapshots > kMaxSnapshots ||
      (header.snapshots != 0 && !is_place(header.snapshots_offset))) {
    return broken("open the qcow2 image: its snapshots");
  }
  return {};
}

}  // namespace

Result<Header> read_header(const ImageFile& file) {
  std::vector<std::byte> bytes(kHeaderBytesV3);
  VMM_TRY(std::size_t got, read_some(file.buffered_fd(), bytes, 0));
  VMM_TRY(Header header, read_common(std::span(bytes).first(got)));
  // Everything of the header is in the first cluster.
  bytes.resize(static_cast<std::size_t>(header.cluster_bytes()));
  VMM_TRY(got, read_some(file.buffered_fd(), bytes, 0));
  bytes.resize(got);
  // Somebody may have cut the file meanwhile.
  if (got < kHeaderBytesV2) return broken("open the qcow2 image: its header is cut");
  std::size_t extensions = kHeaderBytesV2;
  if (header.version == 3) {
    VMM_TRY(extensions, read_v3(bytes, header));
  }
  VMM_TRY(const std::size_t end, read_backing(bytes, extensions, header));
  VMM_TRY_DO(read_extensions(std::span(bytes).subspan(extensions, end - extensions), header));
  VMM_TRY_DO(check_tables(header));
  return header;
}

Result<Cluster> decode_cluster(const Header& header, std::uint64_t entry) {
  Cluster cluster;
  if ((entry & kEntryPacked) != 0) {
    const std::uint32_t size_bits = header.cluster_bits - 8;
    const std::uint32_t offset_bits = 62 - size_bits;
    cluster.kind = Cluster::Kind::kPacked;
    cluster.host = entry & ((std::uint64_t{1} << offset_bits) - 1);
    const std::uint64_t sectors =
        ((entry >> offset_bits) & ((std::uint64_t{1} << size_bits) - 1)) + 1;
    cluster.packed_bytes = sectors * kSector - cluster.host % kSector;
    const bool sane = (entry & kEntryCopied) == 0 && (cluster.host & ~(kEntryOffset | 511)) == 0;
    if (!sane) return fail(Error::os(EIO, "a compressed cluster of the qcow2 image"));
    return cluster;
  }
  cluster.copied = (entry & kEntryCopied) != 0;
  cluster.host = entry & kEntryOffset;
  const bool zero = (entry & kEntryZeroes) != 0;
  const std::uint64_t reserved = entry & ~(kEntryCopied | kEntryOffset | kEntryZeroes);
  if (reserved != 0 || (zero && header.version < 3) ||
      (cluster.host & (header.cluster_bytes() - 1)) != 0 || (cluster.copied && cluster.host == 0)) {
    return fail(Error::os(EIO, "a cluster of the qcow2 image"));
  }
  if (zero) {
    cluster.kind = Cluster::Kind::kZero;
  } else if (cluster.host != 0) {
    cluster.kind = Cluster::Kind::kData;
  }
  return cluster;
}

}  // namespace vmm::block::qcow2
