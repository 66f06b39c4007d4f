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

/// What one side asks of the other: VFIO_USER_*.
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
  std::uint16_t id = 0;       ///< the sender's; in a reply that of the command
  std::uint16_t command = 0;  ///< a Command; in a reply the same
  std::uint32_t bytes = 0;    ///< of the whole message
  std::uint32_t flags = 0;    ///< kTypeMask and the bits below it
  std::uint32_t error = 0;    ///< an errno value, in a reply with kError

  friend bool operator==(const Header&, const Header&) = default;
};
static_assert(sizeof(Header) == 16);

inline constexpr std::uint32_t kTypeMask = 0xf;    ///< 0: a command
inline constexpr std::uint32_t kReply = 1;         ///< of kTypeMask
inline constexpr std::uint32_t kNoReply = 1 << 4;  ///< of Header::flags: no answer is wanted
inline constexpr std::uint32_t kError = 1 << 5;  ///< of Header::flags, in a reply: it was not done

inline constexpr std::uint16_t kMajor = 0;  ///< must be the peer's, too
inline constexpr std::uint16_t kMinor = 1;  ///< what libvfio-user and QEMU speak

/// Data of one message; what we say that we take, and what peers take that say nothing.
inline constexpr std::uint32_t kMaxData = 1 << 20;
/// What a peer has to take at once, at least; with less a large access would be too many messages.
inline constexpr std::uint32_t kMinData = 4096;
/// Bytes of a structure before the data.
inline constexpr std::uint32_t kMaxFixed = 4096;
inline constexpr std::size_t kMaxFds = 64;            ///< that come with one message; we say so
inline constexpr std::size_t kMaxVersionData = 4096;  ///< bytes of JSON, with the NUL
inline constexpr std::uint32_t kMaxDmaMaps = 65535;   ///< mappings that a server takes

/// The front of kVersion and its answer; JSON follows, with a NUL.
struct Version {
  std::uint16_t major = kMajor;  ///< another one is refused
  std::uint16_t minor = kMinor;  ///< the highest that the sender knows; in the answer, of both
};

/// kDmaMap. A descriptor may come with it.
struct DmaMap {
  static constexpr std::uint32_t kRead = 1;   ///< of flags: the device may read it
  static constexpr std::uint32_t kWrite = 2;  ///< of flags: the device may write it

  std::uint32_t argsz = sizeof(DmaMap);  ///< bytes of this structure
  std::uint32_t flags = 0;               ///< kRead and kWrite
  std::uint64_t offset = 0;              ///< in the file
  std::uint64_t iova = 0;                ///< the first address, as the device sees it
  std::uint64_t bytes = 0;               ///< of the range
};
static_assert(sizeof(DmaMap) == 32);

/// kDmaUnmap and its answer.
struct DmaUnmap {
  static constexpr std::uint32_t kAll = 2;  ///< VFIO_DMA_UNMAP_FLAG_ALL: no address, no size

  std::uint32_t argsz = sizeof(DmaUnmap);  ///< bytes of this structure
  std::uint32_t flags = 0;                 ///< 0 or kAll
  std::uint64_t iova = 0;                  ///< the first address
  std::uint64_t bytes = 0;                 ///< of the range
};
static_assert(sizeof(DmaUnmap) == 24);

/// kGetInfo and its answer: struct vfio_device_info.
struct DeviceInfo {
  ///@{
  /// VFIO_DEVICE_FLAGS_*, then the fields, where the counts are num_regions and num_irqs.
  static constexpr std::uint32_t kReset = 1;
  static constexpr std::uint32_t kPci = 2;

  std::uint32_t argsz = sizeof(DeviceInfo);
  std::uint32_t flags = 0;
  std::uint32_t regions = 0;
  std::uint32_t interrupts = 0;
  ///@}
};
static_assert(sizeof(DeviceInfo) == 16);

/// kGetRegionInfo and the front of its answer: struct vfio_region_info. A descriptor comes with the
/// answer when the region can be mapped.
struct RegionInfo {
  ///@{
  /// VFIO_REGION_INFO_FLAG_*, then the fields, where `capabilities` is cap_offset, `bytes` size.
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
  ///@}
};
static_assert(sizeof(RegionInfo) == 32);

/// A capability that lists areas, which follow: VFIO_REGION_INFO_CAP_SPARSE_MMAP.
struct SparseAreas {
  ///@{
  /// A header, and what struct vfio_region_info_cap_sparse_mmap has; `count` is nr_areas.
  std::uint16_t id = 1;
  std::uint16_t version = 1;
  std::uint32_t next = 0;
  std::uint32_t count = 0;
  std::uint32_t reserved = 0;
  ///@}
};
static_assert(sizeof(SparseAreas) == 16);

/// kGetRegionIoFds and the front of its answer; so many entries follow.
struct RegionIoFds {
  ///@{
  /// `flags` are 0. The answer's `argsz` is for all entries; asked with less, it has none.
  std::uint32_t argsz = sizeof(RegionIoFds);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
  ///@}
};
static_assert(sizeof(RegionIoFds) == 16);

/// A part of a region that is written through a descriptor.
struct RegionIoFd {
  ///@{
  /// The sub-region of kind ioeventfd; `bytes` is called size, `value` datamatch.
  static constexpr std::uint32_t kIoEventFd = 0;
  static constexpr std::uint32_t kDataMatch = 1;  ///< of flags: KVM_IOEVENTFD_FLAG_DATAMATCH

  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< 0: writes of any length
  std::uint32_t fd_index = 0;
  std::uint32_t type = kIoEventFd;
  std::uint32_t flags = 0;
  std::uint32_t padding = 0;
  std::uint64_t value = 0;
  ///@}
};
static_assert(sizeof(RegionIoFd) == 40);

/// kGetIrqInfo and its answer: struct vfio_irq_info.
struct IrqInfo {
  ///@{
  /// VFIO_IRQ_INFO_*, then the fields; the count is of interrupts of the kind `index`.
  static constexpr std::uint32_t kEventFd = 1;
  static constexpr std::uint32_t kMaskable = 2;
  static constexpr std::uint32_t kAutomasked = 4;
  static constexpr std::uint32_t kNoResize = 8;

  std::uint32_t argsz = sizeof(IrqInfo);
  std::uint32_t flags = 0;
  std::uint32_t index = 0;
  std::uint32_t count = 0;
  ///@}
};
static_assert(sizeof(IrqInfo) == 16);

/// The front of kSetIrqs: struct vfio_irq_set.
struct IrqSet {
  ///@{
  /// VFIO_IRQ_SET_DATA_* and VFIO_IRQ_SET_ACTION_*, then the fields, `first` being called start.
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
  ///@}
};
static_assert(sizeof(IrqSet) == 20);

/// The front of kRegionRead, kRegionWrite and their answers.
struct RegionAccess {
  std::uint64_t offset = 0;  ///< in the region
  std::uint32_t region = 0;  ///< its index
  std::uint32_t count = 0;   ///< bytes
};
static_assert(sizeof(RegionAccess) == 16);

/// The front of kDmaRead, kDmaWrite and their answers.
struct DmaAccess {
  std::uint64_t iova = 0;   ///< the first address
  std::uint64_t count = 0;  ///< bytes
};
static_assert(sizeof(DmaAccess) == 16);

/// kRegionWriteMulti is the number of these, in 64 bits, and that many; its answer the number of
/// writes that were done.
struct SmallWrite {
  std::uint64_t offset = 0;         ///< in the region
  std::uint32_t region = 0;         ///< its index
  std::uint32_t count = 0;          ///< bytes, at most 8
  std::array<std::byte, 8> data{};  ///< the first `count` bytes count
};
static_assert(sizeof(SmallWrite) == 24);
inline constexpr std::size_t kMaxSmallWrites = 200;  ///< of one message

/// The front of kFeature and its answer: struct vfio_device_feature.
struct Feature {
  ///@{
  /// VFIO_DEVICE_FEATURE_MASK, GET, SET and PROBE, then the fields; `argsz` is with what follows.
  static constexpr std::uint32_t kNumber = 0xffff;
  static constexpr std::uint32_t kGet = 1 << 16;
  static constexpr std::uint32_t kSet = 1 << 17;
  static constexpr std::uint32_t kProbe = 1 << 18;

  std::uint32_t argsz = sizeof(Feature);
  std::uint32_t flags = 0;
  ///@}
};
static_assert(sizeof(Feature) == 8);

// Numbers of features: VFIO_DEVICE_FEATURE_*.
inline constexpr std::uint32_t kFeatureMigration = 1;       ///< MIGRATION
inline constexpr std::uint32_t kFeatureMigrationState = 2;  ///< MIG_DEVICE_STATE
inline constexpr std::uint32_t kFeatureLogStart = 6;        ///< DMA_LOGGING_START
inline constexpr std::uint32_t kFeatureLogStop = 7;         ///< DMA_LOGGING_STOP
inline constexpr std::uint32_t kFeatureLogReport = 8;       ///< DMA_LOGGING_REPORT

/// kFeatureMigration.
struct MigrationFlags {
  static constexpr std::uint64_t kStopCopy = 1;  ///< VFIO_MIGRATION_STOP_COPY
  static constexpr std::uint64_t kP2p = 2;       ///< VFIO_MIGRATION_P2P
  static constexpr std::uint64_t kPreCopy = 4;   ///< VFIO_MIGRATION_PRE_COPY

  std::uint64_t flags = 0;  ///< what the device can do
};
/// kFeatureMigrationState.
struct MigrationStateData {
  std::uint32_t state = 0;  ///< a vfio::MigrationState
  std::int32_t fd = -1;     ///< not used
};
/// The front of kFeatureLogStart; so many LogRanges follow.
struct LogStart {
  std::uint64_t page_bytes = 0;  ///< what a bit of the log stands for
  std::uint32_t count = 0;       ///< 0: everything
  std::uint32_t reserved = 0;    ///< not used
};
/// Addresses whose writes are to be noted.
struct LogRange {
  std::uint64_t iova = 0;   ///< the first address
  std::uint64_t bytes = 0;  ///< of the range
};
/// kFeatureLogReport and the front of its answer, which a bitmap of 64-bit words follows.
struct LogReport {
  std::uint64_t iova = 0;        ///< the first address
  std::uint64_t bytes = 0;       ///< of the range
  std::uint64_t page_bytes = 0;  ///< what a bit of the answer stands for
  friend bool operator==(const LogReport&, const LogReport&) = default;
};

/// The front of kMigrationRead, kMigrationWrite and the answer to the former.
struct MigrationData {
  std::uint32_t argsz = sizeof(MigrationData);  ///< bytes of this structure and of the data
  std::uint32_t bytes = 0;                      ///< of the state: asked for, or that follow
};
static_assert(sizeof(MigrationData) == 8);

}  // namespace vmm::vfio_user
