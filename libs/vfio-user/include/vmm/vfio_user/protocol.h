// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Numbers and structures of the vfio-user protocol: docs/interop/vfio-user.rst of QEMU 10.x,
// version 0.9.2 of the specification. Numbers on the wire have the byte order of the machine, which
// has to be the little-endian one.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace vmm::vfio_user {

static_assert(std::endian::native == std::endian::little);

enum class Command : std::uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kGetInfo = 4,
  kGetRegionInfo = 5,
  kGetRegionIoFds = 6,
  kGetIrqInfo = 7,
  kSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   ///< server to client
  kDmaWrite = 12,  ///< server to client
  kReset = 13,
  kRegionWriteMulti = 15,
  kFeature = 16,
  kMigrationRead = 17,
  kMigrationWrite = 18,
};

/// The first 16 bytes of each message.
struct Header {
  std::uint16_t id = 0;  ///< the sender's; in a reply that of the command
  std::uint16_t command = 0;
  std::uint32_t bytes = 0;  ///< of the whole message
  std::uint32_t flags = 0;
  std::uint32_t error = 0;  ///< an errno value, in a reply with kError

  friend bool operator==(const Header&, const Header&) = default;
};
static_assert(sizeof(Header) == 16);

inline constexpr std::uint32_t kTypeMask = 0xf;  ///< 0: a command
inline constexpr std::uint32_t kReply = 1;
inline constexpr std::uint32_t kNoReply = 1 << 4;
inline constexpr std::uint32_t kError = 1 << 5;

inline constexpr std::uint16_t kMajor = 0;
inline constexpr std::uint16_t kMinor = 1;  ///< what libvfio-user and QEMU speak

/// Data of one message; what we say that we take, and what peers take that say nothing.
inline constexpr std::uint32_t kMaxData = 1 << 20;
/// What a peer has to take at once, at least; with less a large access would be too many messages.
inline constexpr std::uint32_t kMinData = 4096;
/// Bytes of a structure before the data.
inline constexpr std::uint32_t kMaxFixed = 4096;
inline constexpr std::size_t kMaxFds = 64;  ///< that come with one message; we say so
inline constexpr std::size_t kMaxVersionData = 4096;
inline constexpr std::uint32_t kMaxDmaMaps = 65535;

/// The front of kVersion and its answer; JSON follows, with a NUL.
struct Version {
  std::uint16_t major = kMajor;
  std::uint16_t minor = kMinor;
};

/// kDmaMap. A descriptor may come with it.
struct DmaMap {
  static constexpr std::uint32_t kRead = 1;
  static constexpr std::uint32_t kWrite = 2;

  std::uint32_t argsz = sizeof(DmaMap);
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;  ///< in the file
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(DmaMap) == 32);

/// kDmaUnmap and its answer.
struct DmaUnmap {
  static constexpr std::uint32_t kAll = 2;  ///< VFIO_DMA_UNMAP_FLAG_ALL: no address, no size

  std::uint32_t argsz = sizeof(DmaUnmap);
  std::uint32_t flags = 0;
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
};
static_assert(sizeof(DmaUnmap) == 24);

/// kGetInfo and its answer: struct vfio_device_info.
struct DeviceInfo {
  static constexpr std::uint32_t kReset = 1;
  static constexpr std::uint32_t kPci = 2;

  std::uint32_t argsz = sizeof(DeviceInfo);
  std::uint32_t flags = 0;
  std::uint32_t regions = 0;
  std::uint32_t interrupts = 0;
};
static_assert(sizeof(DeviceInfo) == 16);

/// kGetRegionInfo and the front of its answer: struct vfio_region_info. A descriptor comes with the
/// answer when the region can be mapped.
struct RegionInfo {
  static constexpr std::uint32_t kRead = 1;
  static constexpr std::uint32_t kWrite = 2;
  static constexpr std::uint32_t kMap = 4;
  static constexpr std::uint32_t kCapabilities = 8;

  std::uint32_t argsz = sizeof(RegionInfo);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t capabilities = 0;  ///< offset of the first one in the answer's payload
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;  ///< of the region in its file
};
static_assert(sizeof(RegionInfo) == 32);

/// A capability that lists areas, which follow: VFIO_REGION_INFO_CAP_SPARSE_MMAP.
struct SparseAreas {
  std::uint16_t id = 1;
  std::uint16_t version = 1;
  std::uint32_t next = 0;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(SparseAreas) == 16);

/// kGetRegionIoFds and the front of its answer; so many entries follow.
struct RegionIoFds {
  std::uint32_t argsz = sizeof(RegionIoFds);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(RegionIoFds) == 16);

/// A part of a region that is written through a descriptor.
struct RegionIoFd {
  static constexpr std::uint32_t kIoEventFd = 0;
  static constexpr std::uint32_t kDataMatch = 1;  ///< of flags: KVM_IOEVENTFD_FLAG_DATAMATCH

  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< 0: writes of any length
  std::uint32_t fd_index = 0;
  std::uint32_t type = kIoEventFd;
  std::uint32_t flags = 0;
  std::uint32_t padding = 0;
  std::uint64_t value = 0;
};
static_assert(sizeof(RegionIoFd) == 40);

/// kGetIrqInfo and its answer: struct vfio_irq_info.
struct IrqInfo {
  static constexpr std::uint32_t kEventFd = 1;
  static constexpr std::uint32_t kMaskable = 2;
  static constexpr std::uint32_t kAutomasked = 4;
  static constexpr std::uint32_t kNoResize = 8;

  std::uint32_t argsz = sizeof(IrqInfo);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(IrqInfo) == 16);

/// The front of kSetIrqs: struct vfio_irq_set.
struct IrqSet {
  static constexpr std::uint32_t kDataNone = 1;
  static constexpr std::uint32_t kDataBool = 2;  ///< a byte an interrupt follows
  static constexpr std::uint32_t kDataFds = 4;   ///< descriptors come with it
  static constexpr std::uint32_t kMask = 8;
  static constexpr std::uint32_t kUnmask = 16;
  static constexpr std::uint32_t kTrigger = 32;

  std::uint32_t argsz = sizeof(IrqSet);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t first = 0;
  std::uint32_t count = 0;
};
static_assert(sizeof(IrqSet) == 20);

/// The front of kRegionRead, kRegionWrite and their answers.
struct RegionAccess {
  std::uint64_t offset = 0;
  std::uint32_t region = 0;
  std::uint32_t count = 0;  ///< bytes
};
static_assert(sizeof(RegionAccess) == 16);

/// The front of kDmaRead, kDmaWrite and their answers.
struct DmaAccess {
  std::uint64_t iova = 0;
  std::uint64_t count = 0;  ///< bytes
};
static_assert(sizeof(DmaAccess) == 16);

/// kRegionWriteMulti is the number of these, in 64 bits, and that many; its answer the number of
/// writes that were done.
struct SmallWrite {
  std::uint64_t offset = 0;
  std::uint32_t region = 0;
  std::uint32_t count = 0;  ///< bytes, at most 8
  std::array<std::byte, 8> data{};
};
static_assert(sizeof(SmallWrite) == 24);
inline constexpr std::size_t kMaxSmallWrites = 200;

/// The front of kFeature and its answer: struct vfio_device_feature.
struct Feature {
  static constexpr std::uint32_t kNumber = 0xffff;
  static constexpr std::uint32_t kGet = 1 << 16;
  static constexpr std::uint32_t kSet = 1 << 17;
  static constexpr std::uint32_t kProbe = 1 << 18;

  std::uint32_t argsz = sizeof(Feature);
  std::uint32_t flags = 0;
};
static_assert(sizeof(Feature) == 8);

// Numbers of features: VFIO_DEVICE_FEATURE_*.
inline constexpr std::uint32_t kFeatureMigration = 1;
inline constexpr std::uint32_t kFeatureMigrationState = 2;
inline constexpr std::uint32_t kFeatureLogStart = 6;
inline constexpr std::uint32_t kFeatureLogStop = 7;
inline constexpr std::uint32_t kFeatureLogReport = 8;

/// kFeatureMigration.
struct MigrationFlags {
  static constexpr std::uint64_t kStopCopy = 1;
  static constexpr std::uint64_t kP2p = 2;
  static constexpr std::uint64_t kPreCopy = 4;

  std::uint64_t flags = 0;
};
/// kFeatureMigrationState.
struct MigrationStateData {
  std::uint32_t state = 0;
  std::int32_t fd = -1;  ///< not used
};
/// The front of kFeatureLogStart; so many LogRanges follow.
struct LogStart {
  std::uint64_t page_bytes = 0;
  std::uint32_t count = 0;  ///< 0: everything
  std::uint32_t reserved = 0;
};
struct LogRange {
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
};
/// kFeatureLogReport and the front of its answer, which a bitmap of 64-bit words follows.
struct LogReport {
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  std::uint64_t page_bytes = 0;
  friend bool operator==(const LogReport&, const LogReport&) = default;
};

/// The front of kMigrationRead, kMigrationWrite and the answer to the former.
struct MigrationData {
  std::uint32_t argsz = sizeof(MigrationData);
  std::uint32_t bytes = 0;
};
static_assert(sizeof(MigrationData) == 8);

}  // namespace vmm::vfio_user
