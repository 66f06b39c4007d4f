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
  MemoryRegion region;
  UniqueFd fd;
};

struct GetFeatures {};
struct SetFeatures {
  std::uint64_t features = 0;
};
struct SetOwner {};
struct ResetOwner {};
struct SetMemTable {
  /// At most kMaxTableRegions, in any order. None: in postcopy mode, the front end knows now what
  /// it was answered.
  std::vector<RegionFile> regions;
};
struct SetLogBase {
  LogArea area;
  UniqueFd fd;
};
struct SetLogFd {
  UniqueFd fd;
};
struct SetVringNum {
  std::uint32_t index = 0;
  std::uint32_t size = 0;  ///< of the ring; not 0
};
struct SetVringAddr {
  VringAddresses addresses;
};
struct SetVringBase {
  std::uint32_t index = 0;
  /// Split: the available index. Packed: the available position, and above it the used position.
  std::uint32_t base = 0;
};
struct GetVringBase {
  std::uint32_t index = 0;
};
/// `fd` is empty when none came.
struct SetVringKick {
  std::uint32_t index = 0;
  UniqueFd fd;
};
struct SetVringCall {
  std::uint32_t index = 0;
  UniqueFd fd;
};
struct SetVringErr {
  std::uint32_t index = 0;
  UniqueFd fd;
};
struct GetProtocolFeatures {};
struct SetProtocolFeatures {
  std::uint64_t features = 0;
};
struct GetQueueNum {};
struct SetVringEnable {
  std::uint32_t index = 0;
  bool enable = false;
};
struct SendRarp {
  std::array<std::uint8_t, 6> mac{};
};
struct NetSetMtu {
  std::uint16_t mtu = 0;
};
struct SetBackendReqFd {
  UniqueFd fd;
};
/// An update or an invalidation.
struct Iotlb {
  IotlbMessage message;
};
struct SetVringEndian {
  std::uint32_t index = 0;
  bool big = false;
};
/// A part of the configuration space, inside of kMaxConfigBytes.
struct GetConfig {
  ConfigHeader part;
};
struct SetConfig {
  ConfigHeader part;
  std::span<const std::byte> data;  ///< part.bytes bytes, borrowed from the connection
};
struct CreateCryptoSession {
  std::span<const std::byte> session;  ///< borrowed from the connection
};
struct CloseCryptoSession {
  std::uint64_t session = 0;
};
struct PostcopyAdvise {};
struct PostcopyListen {};
struct PostcopyEnd {};
struct GetInflightFd {
  std::uint16_t queue_count = 0;
  std::uint16_t queue_size = 0;
};
struct SetInflightFd {
  InflightArea area;
  UniqueFd fd;
};
struct GpuSetSocket {
  UniqueFd fd;
};
struct ResetDevice {};
struct VringKick {
  std::uint32_t index = 0;
};
struct GetMaxMemSlots {};
struct AddMemReg {
  RegionFile file;  ///< without a descriptor: as SetMemTable without regions
};
struct RemMemReg {
  MemoryRegion region;
};
struct SetStatus {
  std::uint8_t status = 0;
};
struct GetStatus {};
struct GetSharedObject {
  SharedObjectId id;
};
struct SetDeviceStateFd {
  DeviceStateTransfer transfer;
  UniqueFd fd;
};
struct CheckDeviceState {};
struct GetShmemConfig {};

}  // namespace request

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
