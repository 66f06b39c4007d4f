// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <variant>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// The requests of a front end, one structure each, named as in the specification. Numbers are in
/// their range and descriptors where they belong; whether a queue, a region or a feature exists is
/// for others to say.
namespace request {

/// A region and the file that holds it.
struct RegionFile {
  MemoryRegion region;  ///< is_possible()
  UniqueFd fd;          ///< of the file; not empty when it came in a message
};

struct GetFeatures {};
/// VHOST_USER_SET_FEATURES.
struct SetFeatures {
  std::uint64_t features = 0;  ///< of the 64 bits, any
};
struct SetOwner {};
struct ResetOwner {};
/// VHOST_USER_SET_MEM_TABLE.
struct SetMemTable {
  /// At most kMaxTableRegions, in any order. None: in postcopy mode, the front end knows now what
  /// it was answered.
  std::vector<RegionFile> regions;
};
/// VHOST_USER_SET_LOG_BASE.
struct SetLogBase {
  LogArea area;  ///< not empty, and ends below 2^64
  UniqueFd fd;   ///< of the file with the log
};
/// VHOST_USER_SET_LOG_FD.
struct SetLogFd {
  UniqueFd fd;  ///< an eventfd, to be signalled when the log was written
};
/// VHOST_USER_SET_VRING_NUM.
struct SetVringNum {
  std::uint32_t index = 0;  ///< of the queue
  std::uint32_t size = 0;   ///< of the ring; not 0
};
/// VHOST_USER_SET_VRING_ADDR.
struct SetVringAddr {
  VringAddresses addresses;  ///< aligned as a split ring's are; flags: none but kLog
};
/// VHOST_USER_SET_VRING_BASE.
struct SetVringBase {
  std::uint32_t index = 0;  ///< of the queue
  /// Split: the available index. Packed: the available position, and above it the used position.
  std::uint32_t base = 0;
};
/// VHOST_USER_GET_VRING_BASE.
struct GetVringBase {
  std::uint32_t index = 0;  ///< of the queue, which stops
};
/// VHOST_USER_SET_VRING_KICK. `fd` is empty when none came.
struct SetVringKick {
  std::uint32_t index = 0;  ///< of the queue, below kMaxQueues
  UniqueFd fd;              ///< an eventfd; empty: none
};
/// VHOST_USER_SET_VRING_CALL.
struct SetVringCall {
  std::uint32_t index = 0;  ///< of the queue, below kMaxQueues
  UniqueFd fd;              ///< an eventfd; empty: none
};
/// VHOST_USER_SET_VRING_ERR.
struct SetVringErr {
  std::uint32_t index = 0;  ///< of the queue, below kMaxQueues
  UniqueFd fd;              ///< an eventfd; empty: none
};
struct GetProtocolFeatures {};
/// VHOST_USER_SET_PROTOCOL_FEATURES.
struct SetProtocolFeatures {
  std::uint64_t features = 0;  ///< bits of ProtocolFeature, and perhaps others
};
struct GetQueueNum {};
/// VHOST_USER_SET_VRING_ENABLE.
struct SetVringEnable {
  std::uint32_t index = 0;  ///< of the queue
  bool enable = false;      ///< whether what is in the ring may be served
};
/// VHOST_USER_SEND_RARP.
struct SendRarp {
  std::array<std::uint8_t, 6> mac{};  ///< the address to announce
};
/// VHOST_USER_NET_SET_MTU.
struct NetSetMtu {
  std::uint16_t mtu = 0;  ///< bytes, not 0
};
/// VHOST_USER_SET_BACKEND_REQ_FD.
struct SetBackendReqFd {
  UniqueFd fd;  ///< a socket for the back end's own requests
};
/// VHOST_USER_IOTLB_MSG: an update or an invalidation.
struct Iotlb {
  IotlbMessage message;  ///< of type kUpdate or kInvalidate; the range may end at 2^64
};
/// VHOST_USER_SET_VRING_ENDIAN.
struct SetVringEndian {
  std::uint32_t index = 0;  ///< of the queue
  bool big = false;         ///< big-endian; else little-endian
};
/// VHOST_USER_GET_CONFIG: a part of the configuration space, inside of kMaxConfigBytes.
struct GetConfig {
  ConfigHeader part;  ///< not empty
};
/// VHOST_USER_SET_CONFIG.
struct SetConfig {
  ConfigHeader part;                ///< not empty, inside of kMaxConfigBytes
  std::span<const std::byte> data;  ///< part.bytes bytes, borrowed from the connection
};
/// VHOST_USER_CREATE_CRYPTO_SESSION.
struct CreateCryptoSession {
  std::span<const std::byte> session;  ///< borrowed from the connection
};
/// VHOST_USER_CLOSE_CRYPTO_SESSION.
struct CloseCryptoSession {
  std::uint64_t session = 0;  ///< the number that the answer to CreateCryptoSession gave
};
struct PostcopyAdvise {};
struct PostcopyListen {};
struct PostcopyEnd {};
/// VHOST_USER_GET_INFLIGHT_FD.
struct GetInflightFd {
  std::uint16_t queue_count = 0;  ///< not 0
  std::uint16_t queue_size = 0;   ///< descriptors, not 0
};
/// VHOST_USER_SET_INFLIGHT_FD.
struct SetInflightFd {
  /// Not empty, and ends below 2^64; neither number of queues or descriptors is 0.
  InflightArea area;
  UniqueFd fd;  ///< of the file
};
/// VHOST_USER_GPU_SET_SOCKET.
struct GpuSetSocket {
  UniqueFd fd;  ///< a socket for vhost_user::gpu
};
struct ResetDevice {};
/// VHOST_USER_VRING_KICK.
struct VringKick {
  std::uint32_t index = 0;  ///< of the queue
};
struct GetMaxMemSlots {};
/// VHOST_USER_ADD_MEM_REG.
struct AddMemReg {
  RegionFile file;  ///< without a descriptor: as SetMemTable without regions
};
/// VHOST_USER_REM_MEM_REG.
struct RemMemReg {
  MemoryRegion region;  ///< is_possible()
};
/// VHOST_USER_SET_STATUS.
struct SetStatus {
  std::uint8_t status = 0;  ///< the device status of virtio; 0: reset
};
struct GetStatus {};
/// VHOST_USER_GET_SHARED_OBJECT.
struct GetSharedObject {
  SharedObjectId id;  ///< is_valid()
};
/// VHOST_USER_SET_DEVICE_STATE_FD.
struct SetDeviceStateFd {
  DeviceStateTransfer transfer;  ///< its direction and phase are among those that there are
  UniqueFd fd;                   ///< a pipe, or a file
};
struct CheckDeviceState {};
struct GetShmemConfig {};

}  // namespace request

/// One request of a front end.
using FrontendRequest = std::variant<
    request::GetFeatures, request::SetFeatures, request::SetOwner, request::ResetOwner,
    request::SetMemTable, request::SetLogBase, request::SetLogFd, request::SetVringNum,
    request::SetVringAddr, request::SetVringBase, request::GetVringBase, request::SetVringKick,
    request::SetVringCall, request::SetVringErr, request::GetProtocolFeatures,
    request::SetProtocolFeatures, request::GetQueueNum, request::SetVringEnable, request::SendRarp,
    request::NetSetMtu, request::SetBackendReqFd, request::Iotlb, request::SetVringEndian,
    request::GetConfig, request::SetConfig, request::CreateCryptoSession,
    request::CloseCryptoSession, request::PostcopyAdvise, request::PostcopyListen,
    request::PostcopyEnd, request::GetInflightFd, request::SetInflightFd, request::GpuSetSocket,
    request::ResetDevice, request::VringKick, request::GetMaxMemSlots, request::AddMemReg,
    request::RemMemReg, request::SetStatus, request::GetStatus, request::GetSharedObject,
    request::SetDeviceStateFd, request::CheckDeviceState, request::GetShmemConfig>;
static_assert(std::variant_size_v<FrontendRequest> ==
              static_cast<std::size_t>(FrontendCode::kGetShmemConfig));

/// What a message of a front end asks for. Takes its descriptors, but those of a bad message.
/// Errors: kReplyFlag; those of one message.
Result<FrontendRequest, MessageError> parse_frontend(Message message);

/// The queue that a request is about; nullopt when about none.
[[nodiscard]] const std::uint32_t* queue_of(const FrontendRequest& request);

/// Whether the region is not empty and ends below 2^64 in each of its three addresses.
[[nodiscard]] bool is_possible(const MemoryRegion& region);

}  // namespace vmm::vhost_user
