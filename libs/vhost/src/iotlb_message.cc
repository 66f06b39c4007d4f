// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/iotlb_message.h"

#include <cstring>

#include "uapi.h"
#include "vmm/base/checked.h"

namespace vmm::vhost {
namespace {

using vm_memory::Access;

static_assert(sizeof(vhost_msg) == kIotlbMessageBytes);
static_assert(sizeof(vhost_msg_v2) == kIotlbMessageBytes);
static_assert(alignof(vhost_msg) <= alignof(IotlbBytes));
static_assert(offsetof(vhost_msg, iotlb) == offsetof(vhost_msg_v2, iotlb));
static_assert(offsetof(vhost_msg, type) == offsetof(vhost_msg_v2, type));
static_assert(static_cast<int>(IotlbKind::kMiss) == VHOST_IOTLB_MISS);
static_assert(static_cast<int>(IotlbKind::kUpdate) == VHOST_IOTLB_UPDATE);
static_assert(static_cast<int>(IotlbKind::kInvalidate) == VHOST_IOTLB_INVALIDATE);
static_assert(static_cast<int>(IotlbKind::kAccessFail) == VHOST_IOTLB_ACCESS_FAIL);
static_assert(static_cast<int>(IotlbKind::kBatchBegin) == VHOST_IOTLB_BATCH_BEGIN);
static_assert(static_cast<int>(IotlbKind::kBatchEnd) == VHOST_IOTLB_BATCH_END);
static_assert(static_cast<int>(Access::kRead) == VHOST_ACCESS_RO);
static_assert(static_cast<int>(Access::kWrite) == VHOST_ACCESS_WO);
static_assert(static_cast<int>(Access::kReadWrite) == VHOST_ACCESS_RW);

// [start, start + bytes) up to 2^64 inclusive.
bool is_range(std::uint64_t start, std::uint64_t bytes) {
  return bytes != 0 && checked_add(start, bytes - 1).has_value();
}

bool makes_sense(const IotlbMessage& message) {
  switch (message.kind) {
    case IotlbKind::kUpdate:
      return message.host != 0 && is_range(message.iova.raw(), message.bytes) &&
             is_range(message.host, message.bytes);
    case IotlbKind::kInvalidate:
      return is_range(message.iova.raw(), message.bytes);
    default:
      return true;
  }
}

}  // namespace

Result<IotlbBytes, VhostError> encode(const IotlbMessage& message, IotlbVersion version) {
  if (version == IotlbVersion::kV1 && message.address_space != 0) {
    return fail(VhostError::kNoAddressSpaces);
  }
  if (!makes_sense(message)) return fail(VhostError::kBadMapping);
  vhost_msg_v2 raw{};  // an address space of 0 is the padding of version 1
  raw.type = version == IotlbVersion::kV1 ? VHOST_IOTLB_MSG : VHOST_IOTLB_MSG_V2;
  raw.asid = message.address_space;
  raw.iotlb.iova = message.iova.raw();
  raw.iotlb.size = message.bytes;
  raw.iotlb.uaddr = message.host;
  raw.iotlb.perm = static_cast<std::uint8_t>(message.access);
  raw.iotlb.type = static_cast<std::uint8_t>(message.kind);
  IotlbBytes bytes{};
  std::memcpy(bytes.data(), &raw, sizeof(raw));
  return bytes;
}

Result<IotlbMessage, VhostError> decode(std::span<const std::byte> bytes) {
  vhost_msg_v2 raw{};
  if (bytes.size() != sizeof(raw)) return fail(VhostError::kBadMessage);
  std::memcpy(&raw, bytes.data(), sizeof(raw));
  if (raw.type != VHOST_IOTLB_MSG && raw.type != VHOST_IOTLB_MSG_V2) {
    return fail(VhostError::kBadMessage);
  }
  if (raw.iotlb.type < VHOST_IOTLB_MISS || raw.iotlb.type > VHOST_IOTLB_BATCH_END ||
      raw.iotlb.perm > VHOST_ACCESS_RW) {
    return fail(VhostError::kBadMessage);
  }
  return IotlbMessage{.kind = static_cast<IotlbKind>(raw.iotlb.type),
                      .iova = Iova(raw.iotlb.iova),
                      .bytes = raw.iotlb.size,
                      .host = raw.iotlb.uaddr,
                      .access = static_cast<Access>(raw.iotlb.perm),
                      .address_space = raw.type == VHOST_IOTLB_MSG_V2 ? raw.asid : 0};
}

}  // namespace vmm::vhost
