// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/frontend_request.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "message_parts.h"
#include "vmm/base/checked.h"

namespace vmm::vhost_user {
namespace {

using namespace request;

using Parsed = Result<FrontendRequest, MessageError>;

template <class Request>
Parsed parse_empty(const Message& message) {
  VMM_TRY_DO(want_empty(message));
  return Request{};
}

template <class Request>
Parsed parse_fd(Message& message) {
  VMM_TRY_DO(want(message, 0, 1));
  return Request{.fd = std::move(message.fds[0])};
}

template <class Request>
Parsed parse_number(const Message& message) {
  VMM_TRY(const auto number, payload_of<std::uint64_t>(message));
  return Request{number};
}

/// One about a queue alone.
template <class Request>
Parsed parse_index(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  return Request{.index = state.index};
}

/// A queue and a number that is 0 or 1.
template <class Request>
Parsed parse_switch(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  if (state.number > 1) return fail(MessageError::kBadValue);
  return Request{state.index, state.number == 1};
}

template <class Request>
Parsed parse_ring_fd(Message& message) {
  VMM_TRY(const auto number, payload_of<std::uint64_t>(message, message.fds.size()));
  VMM_TRY_DO(check_ring_fd(number, message.fds.size()));
  Request request{.index = static_cast<std::uint32_t>(number & 0xff), .fd = {}};
  if (!message.fds.empty()) request.fd = std::move(message.fds[0]);
  return request;
}

Parsed parse_mem_table(Message& message) {
  const auto header = front_as<MemoryTableHeader>(message.payload);
  if (!header) return fail(MessageError::kBadSize);
  if (header->padding != 0) return fail(MessageError::kBadPadding);
  if (header->count > kMaxTableRegions) return fail(MessageError::kBadValue);
  const std::size_t bytes = sizeof(*header) + header->count * sizeof(MemoryRegion);
  VMM_TRY_DO(want(message, bytes, header->count));
  SetMemTable table;
  for (std::uint32_t i = 0; i < header->count; ++i) {
    const auto at = message.payload.subspan(sizeof(*header) + i * sizeof(MemoryRegion));
    const MemoryRegion region = *front_as<MemoryRegion>(at);
    if (!is_possible(region)) return fail(MessageError::kBadRange);
    table.regions.push_back({.region = region, .fd = {}});
  }
  for (std::uint32_t i = 0; i < header->count; ++i) {
    table.regions[i].fd = std::move(message.fds[i]);
  }
  return table;
}

Result<MemoryRegion, MessageError> parse_region(const Message& message, std::size_t fds) {
  VMM_TRY(const auto single, payload_of<SingleRegion>(message, fds));
  if (single.padding != 0) return fail(MessageError::kBadPadding);
  if (!is_possible(single.region)) return fail(MessageError::kBadRange);
  return single.region;
}

Parsed parse_add_mem_reg(Message& message) {
  if (exactly_as<std::uint64_t>(message.payload) == 0) {  // the end of a postcopy exchange
    VMM_TRY_DO(want(message, sizeof(std::uint64_t), 0));
    return AddMemReg{};
  }
  VMM_TRY(const MemoryRegion region, parse_region(message, 1));
  return AddMemReg{{.region = region, .fd = std::move(message.fds[0])}};
}

// One descriptor is put up with, as some send it.
Parsed parse_rem_mem_reg(const Message& message) {
  const std::size_t fds = std::min(message.fds.size(), std::size_t{1});
  VMM_TRY(const MemoryRegion region, parse_region(message, fds));
  return RemMemReg{region};
}

Parsed parse_log_base(Message& message) {
  VMM_TRY(const auto area, payload_of<LogArea>(message, 1));
  if (area.bytes == 0 || !checked_add(area.mmap_offset, area.bytes)) {
    return fail(MessageError::kBadRange);
  }
  return SetLogBase{.area = area, .fd = std::move(message.fds[0])};
}

Parsed parse_vring_num(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  if (state.number == 0 || state.number > 32768) return fail(MessageError::kBadValue);
  return SetVringNum{.index = state.index, .size = state.number};
}

Parsed parse_vring_base(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  return SetVringBase{.index = state.index, .base = state.number};
}

Parsed parse_vring_addr(const Message& message) {
  VMM_TRY(const auto addresses, payload_of<VringAddresses>(message));
  if ((addresses.flags & ~VringAddresses::kLog) != 0) return fail(MessageError::kBadFlags);
  if (addresses.descriptors % 16 != 0 || addresses.available % 2 != 0 || addresses.used % 4 != 0) {
    return fail(MessageError::kBadAlignment);
  }
  return SetVringAddr{addresses};
}

Parsed parse_vring_kick(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  if (state.number != 0) return fail(MessageError::kBadPadding);
  return VringKick{state.index};
}

Parsed parse_rarp(const Message& message) {
  VMM_TRY(const auto mac, payload_of<std::uint64_t>(message));
  SendRarp rarp;
  std::memcpy(rarp.mac.data(), &mac, rarp.mac.size());
  return rarp;
}

Parsed parse_mtu(const Message& message) {
  VMM_TRY(const auto mtu, payload_of<std::uint64_t>(message));
  if (mtu == 0 || mtu > 0xffff) return fail(MessageError::kBadValue);
  return NetSetMtu{static_cast<std::uint16_t>(mtu)};
}

Parsed parse_iotlb(const Message& message) {
  VMM_TRY(const auto iotlb, payload_of<IotlbMessage>(message));
  if (iotlb.permission > IotlbMessage::kReadWrite) return fail(MessageError::kBadFlags);
  if (iotlb.type != IotlbMessage::kUpdate && iotlb.type != IotlbMessage::kInvalidate) {
    return fail(MessageError::kBadValue);
  }
  // A range may end at 2^64 exactly.
  if (iotlb.bytes == 0 || !checked_add(iotlb.iova, iotlb.bytes - 1)) {
    return fail(MessageError::kBadRange);
  }
  if (iotlb.type == IotlbMessage::kUpdate && !checked_add(iotlb.user_address, iotlb.bytes - 1)) {
    return fail(MessageError::kBadRange);
  }
  return Iotlb{iotlb};
}

Result<ConfigHeader, MessageError> parse_config(const Message& message) {
  const auto part = front_as<ConfigHeader>(message.payload);
  if (!part) return fail(MessageError::kBadSize);
  if ((part->flags & ~ConfigHeader::kKnownFlags) != 0) return fail(MessageError::kBadFlags);
  if (part->bytes == 0 || !fits(part->offset, part->bytes, kMaxConfigBytes)) {
    return fail(MessageError::kBadRange);
  }
  VMM_TRY_DO(want(message, sizeof(*part) + part->bytes, 0));
  return *part;
}

Parsed parse_get_config(const Message& message) {
  VMM_TRY(const ConfigHeader part, parse_config(message));
  return GetConfig{part};
}

Parsed parse_set_config(const Message& message) {
  VMM_TRY(const ConfigHeader part, parse_config(message));
  return SetConfig{.part = part, .data = message.payload.subspan(sizeof(part))};
}

Parsed parse_crypto_session(const Message& message) {
  if (!message.fds.empty()) return fail(MessageError::kBadFdCount);
  if (message.payload.size() < sizeof(std::uint64_t)) return fail(MessageError::kBadSize);
  return CreateCryptoSession{message.payload};
}

Result<InflightArea, MessageError> inflight_of(const Message& message, std::size_t fds) {
  InflightArea area;
  const std::size_t bytes = message.payload.size();
  if (bytes != sizeof(area) && bytes != InflightArea::kShortBytes) {
    return fail(MessageError::kBadSize);
  }
  if (message.fds.size() != fds) return fail(MessageError::kBadFdCount);
  std::memcpy(&area, message.payload.data(), bytes);
  area.padding = 0;  // nobody says that it is zero
  if (area.queue_count == 0 || area.queue_size == 0) return fail(MessageError::kBadValue);
  return area;
}

Parsed parse_get_inflight(const Message& message) {
  VMM_TRY(const InflightArea area, inflight_of(message, 0));
  return GetInflightFd{.queue_count = area.queue_count, .queue_size = area.queue_size};
}

Parsed parse_set_inflight(Message& message) {
  VMM_TRY(const InflightArea area, inflight_of(message, 1));
  if (area.mmap_bytes == 0 || !checked_add(area.mmap_offset, area.mmap_bytes)) {
    return fail(MessageError::kBadRange);
  }
  return SetInflightFd{.area = area, .fd = std::move(message.fds[0])};
}

Parsed parse_status(const Message& message) {
  VMM_TRY(const auto status, payload_of<std::uint64_t>(message));
  if (status > 0xff) return fail(MessageError::kBadValue);
  return SetStatus{static_cast<std::uint8_t>(status)};
}

Parsed parse_shared_object(const Message& message) {
  VMM_TRY(const auto id, payload_of<SharedObjectId>(message));
  if (!id.is_valid()) return fail(MessageError::kBadValue);
  return GetSharedObject{id};
}

Parsed parse_device_state(Message& message) {
  VMM_TRY(const auto transfer, payload_of<DeviceStateTransfer>(message, 1));
  if (transfer.direction > DeviceStateTransfer::kLoad ||
      transfer.phase != DeviceStateTransfer::kStopped) {
    return fail(MessageError::kBadValue);
  }
  return SetDeviceStateFd{.transfer = transfer, .fd = std::move(message.fds[0])};
}

// The requests that say something about how the device and its rings are to be.
Parsed parse_setting(Message& message) {
  switch (static_cast<FrontendCode>(message.header.request)) {
    case FrontendCode::kSetFeatures:
      return parse_number<SetFeatures>(message);
    case FrontendCode::kSetProtocolFeatures:
      return parse_number<SetProtocolFeatures>(message);
    case FrontendCode::kSetMemTable:
      return parse_mem_table(message);
    case FrontendCode::kAddMemReg:
      return parse_add_mem_reg(message);
    case FrontendCode::kRemMemReg:
      return parse_rem_mem_reg(message);
    case FrontendCode::kSetLogBase:
      return parse_log_base(message);
    case FrontendCode::kSetLogFd:
      return parse_fd<SetLogFd>(message);
    case FrontendCode::kSetVringNum:
      return parse_vring_num(message);
    case FrontendCode::kSetVringAddr:
      return parse_vring_addr(message);
    case FrontendCode::kSetVringBase:
      return parse_vring_base(message);
    case FrontendCode::kSetVringKick:
      return parse_ring_fd<SetVringKick>(message);
    case FrontendCode::kSetVringCall:
      return parse_ring_fd<SetVringCall>(message);
    case FrontendCode::kSetVringErr:
      return parse_ring_fd<SetVringErr>(message);
    case FrontendCode::kSetVringEnable:
      return parse_switch<SetVringEnable>(message);
    case FrontendCode::kSetVringEndian:
      return parse_switch<SetVringEndian>(message);
    case FrontendCode::kVringKick:
      return parse_vring_kick(message);
    case FrontendCode::kSetBackendReqFd:
      return parse_fd<SetBackendReqFd>(message);
    case FrontendCode::kSetConfig:
      return parse_set_config(message);
    case FrontendCode::kSetInflightFd:
      return parse_set_inflight(message);
    case FrontendCode::kSetStatus:
      return parse_status(message);
    case FrontendCode::kGpuSetSocket:
      return parse_fd<GpuSetSocket>(message);
    default:
      return fail(MessageError::kUnknownCode);
  }
}

// The others: questions, and what is to be done once.
Parsed parse_other(Message& message) {
  switch (static_cast<FrontendCode>(message.header.request)) {
    case FrontendCode::kGetFeatures:
      return parse_empty<GetFeatures>(message);
    case FrontendCode::kSetOwner:
      return parse_empty<SetOwner>(message);
    case FrontendCode::kResetOwner:
      return parse_empty<ResetOwner>(message);
    case FrontendCode::kGetVringBase:
      return parse_index<GetVringBase>(message);
    case FrontendCode::kGetProtocolFeatures:
      return parse_empty<GetProtocolFeatures>(message);
    case FrontendCode::kGetQueueNum:
      return parse_empty<GetQueueNum>(message);
    case FrontendCode::kSendRarp:
      return parse_rarp(message);
    case FrontendCode::kNetSetMtu:
      return parse_mtu(message);
    case FrontendCode::kIotlbMsg:
      return parse_iotlb(message);
    case FrontendCode::kGetConfig:
      return parse_get_config(message);
    case FrontendCode::kCreateCryptoSession:
      return parse_crypto_session(message);
    case FrontendCode::kCloseCryptoSession:
      return parse_number<CloseCryptoSession>(message);
    case FrontendCode::kPostcopyAdvise:
      return parse_empty<PostcopyAdvise>(message);
    case FrontendCode::kPostcopyListen:
      return parse_empty<PostcopyListen>(message);
    case FrontendCode::kPostcopyEnd:
      return parse_empty<PostcopyEnd>(message);
    case FrontendCode::kGetInflightFd:
      return parse_get_inflight(message);
    case FrontendCode::kResetDevice:
      return parse_empty<ResetDevice>(message);
    case FrontendCode::kGetMaxMemSlots:
      return parse_empty<GetMaxMemSlots>(message);
    case FrontendCode::kGetStatus:
      return parse_empty<GetStatus>(message);
    case FrontendCode::kGetSharedObject:
      return parse_shared_object(message);
    case FrontendCode::kSetDeviceStateFd:
      return parse_device_state(message);
    case FrontendCode::kCheckDeviceState:
      return parse_empty<CheckDeviceState>(message);
    case FrontendCode::kGetShmemConfig:
    case FrontendCode::kPrivateGetShmemRegions:
      return parse_empty<GetShmemConfig>(message);
    default:
      return parse_setting(message);
  }
}

struct QueueOf {
  template <class Request>
  const std::uint32_t* operator()(const Request& request) const {
    if constexpr (requires { request.index; }) {
      return &request.index;
    } else {
      return nullptr;
    }
  }
  const std::uint32_t* operator()(const SetVringAddr& request) const {
    return &request.addresses.index;
  }
};

}  // namespace

Result<FrontendRequest, MessageError> parse_frontend(Message message) {
  if ((message.header.flags & kReply) != 0) return fail(MessageError::kReplyFlag);
  return parse_other(message);
}

const std::uint32_t* queue_of(const FrontendRequest& request) {
  return std::visit(QueueOf{}, request);
}

bool is_possible(const MemoryRegion& region) {
  return region.bytes != 0 && checked_add(region.guest_address, region.bytes) &&
         checked_add(region.user_address, region.bytes) &&
         checked_add(region.mmap_offset, region.bytes);
}

bool SharedObjectId::is_valid() const {
  const auto all = [this](std::uint8_t value) {
    return std::ranges::all_of(uuid, [value](std::uint8_t byte) { return byte == value; });
  };
  return !all(0) && !all(0xff);
}

}  // namespace vmm::vhost_user
