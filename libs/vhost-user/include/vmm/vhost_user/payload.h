// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What follows the header of a message. Numbers have the byte order of the machine.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/payload.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// SET_VRING_NUM, _BASE, _ENABLE, _ENDIAN, GET_VRING_BASE, VRING_KICK, VRING_CALL, VRING_ERR.
struct VringState {
  ///@{
  /// A vring state description: a queue, and what the message says of it.
  std::uint32_t index = 0;
  std::uint32_t number = 0;
  ///@}

  friend bool operator==(const VringState&, const VringState&) = default;
};
static_assert(sizeof(VringState) == 8);

/// SET_VRING_ADDR. Addresses are the front end's own (IOVAs with an IOMMU), but for the log's.
struct VringAddresses {
  static constexpr std::uint32_t kLog = 1;  ///< of flags: log writes to the used ring

  ///@{
  /// A vring address description; flags are 0 or kLog.
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint64_t descriptors = 0;
  ///@}
  std::uint64_t used = 0;       ///< the device area
  std::uint64_t available = 0;  ///< the driver area
  std::uint64_t log = 0;        ///< guest address of the used ring in the log

  friend bool operator==(const VringAddresses&, const VringAddresses&) = default;
};
static_assert(sizeof(VringAddresses) == 40);

/// A range of guest memory, in the file that comes with it.
struct MemoryRegion {
  ///@{
  /// A memory region description: where the guest has it, and its size.
  std::uint64_t guest_address = 0;
  std::uint64_t bytes = 0;
  ///@}
  std::uint64_t user_address = 0;  ///< where the front end has it
  std::uint64_t mmap_offset = 0;   ///< where it is in the file

  friend bool operator==(const MemoryRegion&, const MemoryRegion&) = default;
};
static_assert(sizeof(MemoryRegion) == 32);

/// The front of SET_MEM_TABLE; so many regions follow.
struct MemoryTableHeader {
  ///@{
  /// The specification's names: num regions, padding.
  std::uint32_t count = 0;
  std::uint32_t padding = 0;
  ///@}
};
static_assert(sizeof(MemoryTableHeader) == 8);

/// ADD_MEM_REG and REM_MEM_REG.
struct SingleRegion {
  ///@{
  /// A single memory region description.
  std::uint64_t padding = 0;
  MemoryRegion region;
  ///@}
};
static_assert(sizeof(SingleRegion) == 40);

/// SET_LOG_BASE.
struct LogArea {
  ///@{
  /// A log description: the log's size, and where it is in its file.
  std::uint64_t bytes = 0;
  std::uint64_t mmap_offset = 0;
  ///@}
};
static_assert(sizeof(LogArea) == 16);

/// GET_INFLIGHT_FD and SET_INFLIGHT_FD. Some send it without the padding.
struct InflightArea {
  static constexpr std::size_t kShortBytes = 20;  ///< of one without the padding

  ///@{
  /// An inflight description: the file's part, and the queues that it is for, of queue_size
  /// descriptors.
  std::uint64_t mmap_bytes = 0;
  std::uint64_t mmap_offset = 0;
  std::uint16_t queue_count = 0;
  std::uint16_t queue_size = 0;
  std::uint32_t padding = 0;
  ///@}

  friend bool operator==(const InflightArea&, const InflightArea&) = default;
};
static_assert(sizeof(InflightArea) == 24);

/// The front of GET_CONFIG and SET_CONFIG; so many bytes follow.
struct ConfigHeader {
  /// Of flags: any field, as after a migration; else those that a driver may write. Some number
  /// them 2 and 1 instead.
  static constexpr std::uint32_t kLiveMigration = 1;
  /// All that a flag may be.
  static constexpr std::uint32_t kKnownFlags = 3;

  ///@{
  /// A virtio device config space description: bytes of the configuration space, and who writes
  /// them.
  std::uint32_t offset = 0;
  std::uint32_t bytes = 0;
  std::uint32_t flags = 0;
  ///@}

  friend bool operator==(const ConfigHeader&, const ConfigHeader&) = default;
};
static_assert(sizeof(ConfigHeader) == 12);
/// A configuration space is not larger than this.
inline constexpr std::uint32_t kMaxConfigBytes = 4096;

/// IOTLB_MSG, both ways.
struct IotlbMessage {
  /// VHOST_IOTLB_MISS, UPDATE, INVALIDATE and ACCESS_FAIL.
  enum Type : std::uint8_t { kMiss = 1, kUpdate = 2, kInvalidate = 3, kAccessFail = 4 };
  /// VHOST_ACCESS_*: what a mapping allows, or what an access needed.
  enum Permission : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };

  ///@{
  /// An IOTLB message, `struct vhost_iotlb_msg`: `iova` and `user_address` of `bytes` bytes.
  std::uint64_t iova = 0;
  std::uint64_t bytes = 0;
  std::uint64_t user_address = 0;
  std::uint8_t permission = 0;
  std::uint8_t type = 0;
  std::array<std::uint8_t, 6> padding{};
  ///@}

  friend bool operator==(const IotlbMessage&, const IotlbMessage&) = default;
};
static_assert(sizeof(IotlbMessage) == 32);

/// VRING_HOST_NOTIFIER_MSG: `index` with kNoFd as in SET_VRING_KICK.
struct VringArea {
  ///@{
  /// A vring area description: a queue, and which part of a file its notifications go to.
  std::uint64_t index = 0;
  std::uint64_t bytes = 0;
  std::uint64_t offset = 0;
  ///@}

  friend bool operator==(const VringArea&, const VringArea&) = default;
};
static_assert(sizeof(VringArea) == 24);

/// The name of an object that several back ends share.
struct SharedObjectId {
  std::array<std::uint8_t, 16> uuid{};  ///< in the order of the wire

  /// Whether it names something: neither all zeros nor all ones.
  [[nodiscard]] bool is_valid() const;
  friend bool operator==(const SharedObjectId&, const SharedObjectId&) = default;
};
static_assert(sizeof(SharedObjectId) == 16);

/// SET_DEVICE_STATE_FD.
struct DeviceStateTransfer {
  /// Which way the state goes: out of the back end, or into it.
  enum Direction : std::uint32_t { kSave = 0, kLoad = 1 };
  /// When that is: with the rings stopped.
  enum Phase : std::uint32_t { kStopped = 0 };
  /// In the answer: no descriptor comes with it, the front end's is used.
  static constexpr std::uint64_t kReplyNoFd = 1 << 8;

  ///@{
  /// Device state transfer parameters: a Direction and a Phase.
  std::uint32_t direction = 0;
  std::uint32_t phase = 0;
  ///@}

  friend bool operator==(const DeviceStateTransfer&, const DeviceStateTransfer&) = default;
};
static_assert(sizeof(DeviceStateTransfer) == 8);

/// SHMEM_MAP and SHMEM_UNMAP.
struct ShmemArea {
  static constexpr std::uint64_t kWritable = 1;  ///< of flags

  ///@{
  /// An MMAP request: `bytes` bytes of the file from `fd_offset` on, in the region `id` (shmid).
  std::uint8_t id = 0;
  std::array<std::uint8_t, 7> padding{};
  std::uint64_t fd_offset = 0;
  std::uint64_t offset = 0;  ///< in the shared memory region `id`
  std::uint64_t bytes = 0;
  std::uint64_t flags = 0;
  ///@}

  friend bool operator==(const ShmemArea&, const ShmemArea&) = default;
};
static_assert(sizeof(ShmemArea) == 40);

/// The answer to GET_SHMEM_CONFIG: the size of each region by its id, 0 where there is none.
struct ShmemConfig {
  std::uint32_t count = 0;  ///< regions with a size
  ///@{
  /// The specification's names: padding, memory_sizes.
  std::uint32_t padding = 0;
  std::array<std::uint64_t, 256> bytes{};
  ///@}
};
static_assert(sizeof(ShmemConfig) == 2056);

/// An entry of the answer to kPrivateGetShmemRegions, which is a number of 64 bits and so many of
/// these.
struct PrivateShmemRegion {
  ///@{
  /// The region's shmid and its size.
  std::uint8_t id = 0;
  std::array<std::uint8_t, 7> padding{};
  std::uint64_t bytes = 0;
  ///@}
};
static_assert(sizeof(PrivateShmemRegion) == 16);

/// kPrivateShmemMap.
struct PrivateShmemMap {
  /// What the driver may do with the part.
  enum Flags : std::uint8_t { kRead = 1, kWrite = 2 };

  ///@{
  /// As in ShmemArea, in another order.
  std::uint8_t flags = 0;
  std::uint8_t id = 0;
  std::array<std::uint8_t, 6> padding{};
  std::uint64_t offset = 0;  ///< in the shared memory region `id`
  std::uint64_t fd_offset = 0;
  std::uint64_t bytes = 0;
  ///@}
};
static_assert(sizeof(PrivateShmemMap) == 32);

/// kPrivateShmemUnmap.
struct PrivateShmemUnmap {
  ///@{
  /// As in ShmemArea.
  std::uint8_t id = 0;
  std::array<std::uint8_t, 7> padding{};
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  ///@}
};
static_assert(sizeof(PrivateShmemUnmap) == 24);

/// CREATE_CRYPTO_SESSION: a description whose fields are those of a front end's program, with room
/// for the session's number, which the answer says: the last 8 bytes, or the first 8 of the
/// structure that was sent before there were asymmetric keys. The number is negative for a session
/// that was not made.
inline constexpr std::size_t kOldCryptoSessionBytes = 632;
/// Where in a description of that many bytes the number is. Precondition: at least 8.
[[nodiscard]] constexpr std::size_t crypto_session_number_at(std::size_t bytes) {
  return bytes == kOldCryptoSessionBytes ? 0 : bytes - sizeof(std::uint64_t);
}

/// The bytes of a structure, borrowed.

}  // namespace vmm::vhost_user
