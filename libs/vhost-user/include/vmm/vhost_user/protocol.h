// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Numbers of the vhost-user protocol: docs/interop/vhost-user.rst of QEMU, as of 10.x. Numbers on
// the wire have the byte order of the machine.

#include <cstddef>
#include <cstdint>

namespace vmm::vhost_user {

/// What a front end asks of a back end.
enum class FrontendCode : std::uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kResetOwner = 4,
  kSetMemTable = 5,
  kSetLogBase = 6,
  kSetLogFd = 7,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kSetVringErr = 14,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kSendRarp = 19,
  kNetSetMtu = 20,
  kSetBackendReqFd = 21,
  kIotlbMsg = 22,
  kSetVringEndian = 23,
  kGetConfig = 24,
  kSetConfig = 25,
  kCreateCryptoSession = 26,
  kCloseCryptoSession = 27,
  kPostcopyAdvise = 28,
  kPostcopyListen = 29,
  kPostcopyEnd = 30,
  kGetInflightFd = 31,
  kSetInflightFd = 32,
  kGpuSetSocket = 33,
  kResetDevice = 34,
  kVringKick = 35,
  kGetMaxMemSlots = 36,
  kAddMemReg = 37,
  kRemMemReg = 38,
  kSetStatus = 39,
  kGetStatus = 40,
  kGetSharedObject = 41,
  kSetDeviceStateFd = 42,
  kCheckDeviceState = 43,
  kGetShmemConfig = 44,
  /// Of the GPU processes of crosvm and their front ends: as kGetShmemConfig.
  kPrivateGetShmemRegions = 1004,
};

/// What a back end asks of a front end, on the channel of kSetBackendReqFd.
enum class BackendCode : std::uint32_t {
  kIotlbMsg = 1,
  kConfigChange = 2,
  kVringHostNotifier = 3,
  kVringCall = 4,
  kVringErr = 5,
  kSharedObjectAdd = 6,
  kSharedObjectRemove = 7,
  kSharedObjectLookup = 8,
  kShmemMap = 9,
  kShmemUnmap = 10,
  // As the two before, of the same programs as kPrivateGetShmemRegions. Always answered.
  kPrivateShmemMap = 1000,
  kPrivateShmemUnmap = 1001,
};

/// The first 12 bytes of each message.
struct Header {
  std::uint32_t request = 0;  ///< a FrontendCode, a BackendCode or a gpu::Code
  std::uint32_t flags = 0;    ///< version and flags, see below
  std::uint32_t size = 0;     ///< bytes of the payload that follows

  friend bool operator==(const Header&, const Header&) = default;
};
static_assert(sizeof(Header) == 12);

///@{
/// Of Header::flags: the version in the low bits, VHOST_USER_REPLY_MASK and NEED_REPLY.
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::uint32_t kVersionMask = 3;
inline constexpr std::uint32_t kReply = 4;
inline constexpr std::uint32_t kNeedReply = 8;
///@}

inline constexpr std::size_t kMaxPayload = 4096;  ///< bytes; longer messages are refused
inline constexpr std::size_t kMaxFds = 32;        ///< that come with one message
/// How many memory regions one SET_MEM_TABLE may have: 8 that every back end takes.
inline constexpr std::size_t kBaselineRegions = 8;
inline constexpr std::size_t kMaxTableRegions = 32;  ///< that are taken here
/// How many regions there may be altogether, with CONFIGURE_MEM_SLOTS.
inline constexpr std::size_t kMaxMemSlots = 509;
/// Queues are numbered by the low 8 bits of a number that is sent with a descriptor.
inline constexpr std::size_t kMaxQueues = 256;

///@{
/// Feature bits of vhost, among those of virtio.
inline constexpr std::uint64_t kFeatureLogAll = std::uint64_t{1} << 26;
inline constexpr std::uint64_t kFeatureProtocolFeatures = std::uint64_t{1} << 30;
///@}

/// The number of a protocol feature is the number of its bit.
enum class ProtocolFeature : std::uint8_t {
  kMq = 0,
  kLogShmfd = 1,
  kRarp = 2,
  kReplyAck = 3,
  kMtu = 4,
  kBackendReq = 5,
  kCrossEndian = 6,
  kCryptoSession = 7,
  kPagefault = 8,
  kConfig = 9,
  kBackendSendFd = 10,
  kHostNotifier = 11,
  kInflightShmfd = 12,
  kResetDevice = 13,
  kInbandNotifications = 14,
  kConfigureMemSlots = 15,
  kStatus = 16,
  kXenMmap = 17,
  kSharedObject = 18,
  kDeviceState = 19,
  kGetVringBaseInflight = 20,
  kShmem = 21,
  kPrivateShmem = 31,  ///< shared memory by the private messages
};

/// The feature's bit of the 64.
[[nodiscard]] constexpr std::uint64_t bit(ProtocolFeature feature) {
  return std::uint64_t{1} << static_cast<unsigned>(feature);
}

/// In the number of SET_VRING_KICK, _CALL and _ERR, beside the index: no descriptor comes with it.
inline constexpr std::uint64_t kNoFd = 1 << 8;

/// The page size of the dirty log.
inline constexpr std::uint64_t kLogPageBytes = 4096;

}  // namespace vmm::vhost_user
