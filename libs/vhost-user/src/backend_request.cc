// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/backend_request.h"

#include "message_parts.h"
#include "vmm/base/checked.h"

namespace vmm::vhost_user {
namespace {

using namespace backend_request;

using Event = Connection::Event;
using Parsed = Result<BackendRequest, MessageError>;

Parsed parse_iotlb(const Message& message) {
  VMM_TRY(const auto iotlb, payload_of<IotlbMessage>(message));
  if (iotlb.type != IotlbMessage::kMiss && iotlb.type != IotlbMessage::kAccessFail) {
    return fail(MessageError::kBadValue);
  }
  if (iotlb.permission > IotlbMessage::kReadWrite) return fail(MessageError::kBadFlags);
  return Iotlb{iotlb};
}

Parsed parse_config_change(const Message& message) {
  VMM_TRY_DO(want_empty(message));
  return ConfigChange{};
}

Parsed parse_host_notifier(Message& message) {
  VMM_TRY(const auto area, payload_of<VringArea>(message, message.fds.size()));
  VMM_TRY_DO(check_ring_fd(area.index, message.fds.size()));
  const bool has_fd = !message.fds.empty();
  if (has_fd && (area.bytes == 0 || !checked_add(area.offset, area.bytes))) {
    return fail(MessageError::kBadRange);
  }
  return VringHostNotifier{.index = static_cast<std::uint32_t>(area.index & 0xff),
                           .bytes = area.bytes,
                           .offset = area.offset,
                           .fd = has_fd ? std::move(message.fds[0]) : UniqueFd()};
}

template <class Request>
Parsed parse_ring(const Message& message) {
  VMM_TRY(const auto state, payload_of<VringState>(message));
  if (state.number != 0) return fail(MessageError::kBadPadding);
  return Request{state.index};
}

template <class Request>
Parsed parse_object(const Message& message) {
  VMM_TRY(const auto id, payload_of<SharedObjectId>(message));
  if (!id.is_valid()) return fail(MessageError::kBadValue);
  return Request{id};
}

Result<void, MessageError> check_shmem(const ShmemArea& area) {
  if ((area.flags & ~ShmemArea::kWritable) != 0) return fail(MessageError::kBadFlags);
  if (area.bytes == 0 || !checked_add(area.offset, area.bytes) ||
      !checked_add(area.fd_offset, area.bytes)) {
    return fail(MessageError::kBadRange);
  }
  return {};
}

Result<ShmemArea, MessageError> shmem_of(const Message& message, std::size_t fds) {
  VMM_TRY(const auto area, payload_of<ShmemArea>(message, fds));
  VMM_TRY_DO(check_shmem(area));
  return area;
}

Parsed parse_shmem_map(Message& message) {
  VMM_TRY(const ShmemArea area, shmem_of(message, 1));
  return ShmemMap{.area = area, .fd = std::move(message.fds[0])};
}

Parsed parse_shmem_unmap(const Message& message) {
  VMM_TRY(const ShmemArea area, shmem_of(message, 0));
  return ShmemUnmap{area};
}

Parsed parse_private_map(Message& message) {
  VMM_TRY(const auto map, payload_of<PrivateShmemMap>(message, 1));
  if (map.flags == 0 || map.flags > (PrivateShmemMap::kRead | PrivateShmemMap::kWrite)) {
    return fail(MessageError::kBadFlags);
  }
  const ShmemArea area{.id = map.id,
                       .fd_offset = map.fd_offset,
                       .offset = map.offset,
                       .bytes = map.bytes,
                       .flags = (map.flags & PrivateShmemMap::kWrite) != 0 ? ShmemArea::kWritable
                                                                           : std::uint64_t{0}};
  VMM_TRY_DO(check_shmem(area));
  return ShmemMap{.area = area, .fd = std::move(message.fds[0])};
}

Parsed parse_private_unmap(const Message& message) {
  VMM_TRY(const auto unmap, payload_of<PrivateShmemUnmap>(message));
  const ShmemArea area{.id = unmap.id, .offset = unmap.offset, .bytes = unmap.bytes};
  VMM_TRY_DO(check_shmem(area));
  return ShmemUnmap{area};
}

/// Whether the back end waits for the answer, asked for or not.
bool is_always_answered(std::uint32_t code) {
  return code == static_cast<std::uint32_t>(BackendCode::kPrivateShmemMap) ||
         code == static_cast<std::uint32_t>(BackendCode::kPrivateShmemUnmap);
}

}  // namespace

Result<BackendRequest, MessageError> parse_backend(Message message) {
  if ((message.header.flags & kReply) != 0) return fail(MessageError::kReplyFlag);
  switch (static_cast<BackendCode>(message.header.request)) {
    case BackendCode::kIotlbMsg:
      return parse_iotlb(message);
    case BackendCode::kConfigChange:
      return parse_config_change(message);
    case BackendCode::kVringHostNotifier:
      return parse_host_notifier(message);
    case BackendCode::kVringCall:
      return parse_ring<VringCall>(message);
    case BackendCode::kVringErr:
      return parse_ring<VringErr>(message);
    case BackendCode::kSharedObjectAdd:
      return parse_object<SharedObjectAdd>(message);
    case BackendCode::kSharedObjectRemove:
      return parse_object<SharedObjectRemove>(message);
    case BackendCode::kSharedObjectLookup:
      return parse_object<SharedObjectLookup>(message);
    case BackendCode::kShmemMap:
      return parse_shmem_map(message);
    case BackendCode::kShmemUnmap:
      return parse_shmem_unmap(message);
    case BackendCode::kPrivateShmemMap:
      return parse_private_map(message);
    case BackendCode::kPrivateShmemUnmap:
      return parse_private_unmap(message);
  }
  return fail(MessageError::kUnknownCode);
}

Result<Event> FrontendChannel::serve() {
  VMM_TRY(const Event event, connection_.receive());
  if (event != Event::kMessage) return event;
  const Header header = connection_.message().header;
  VMM_TRY(BackendRequest request, parse_backend(connection_.message()));
  const Result<UniqueFd> done = handler_.handle(request);
  if ((header.flags & kNeedReply) == 0 && !is_always_answered(header.request)) return event;
  const std::uint64_t answer = done ? 0 : 1;
  const bool send_fd = done && *done && std::holds_alternative<SharedObjectLookup>(request);
  const int fd = send_fd ? done->get() : -1;
  VMM_TRY_DO(connection_.send(
      {.request = header.request, .flags = kVersion | kReply, .size = sizeof(answer)},
      bytes_of(answer), std::span(&fd, send_fd ? 1u : 0u)));
  return event;
}

}  // namespace vmm::vhost_user
