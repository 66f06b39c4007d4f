// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/backend_channel.h"

namespace vmm::vhost_user {
namespace {

Header header_of(BackendCode code, std::size_t bytes, bool need_reply) {
  return {.request = static_cast<std::uint32_t>(code),
          .flags = kVersion | (need_reply ? kNeedReply : 0),
          .size = static_cast<std::uint32_t>(bytes)};
}

}  // namespace

Result<void> BackendChannel::tell(BackendCode code, std::span<const std::byte> payload,
                                  std::span<const int> fds) {
  const MutexLock lock(mutex_);
  return connection_.send(header_of(code, payload.size(), false), payload, fds);
}

Result<void> BackendChannel::tell_ring(BackendCode code, std::uint32_t queue) {
  const VringState state{.index = queue, .number = 0};
  return tell(code, bytes_of(state), {});
}

Result<void> BackendChannel::ask(BackendCode code, std::span<const std::byte> payload,
                                 std::span<const int> fds) {
  if (!has(ProtocolFeature::kReplyAck)) return tell(code, payload, fds);
  return ask_always(code, payload, fds);
}

Result<void> BackendChannel::ask_always(BackendCode code, std::span<const std::byte> payload,
                                        std::span<const int> fds) {
  const MutexLock lock(mutex_);
  return converse(code, payload, fds);
}

// What comes late would be taken for the answer to the next question.
Result<void> BackendChannel::converse(BackendCode code, std::span<const std::byte> payload,
                                      std::span<const int> fds) {
  if (lost_) return fail(*lost_);
  const Result<std::uint64_t> answer = answer_to(code, payload, fds);
  if (!answer) lost_ = answer.error();
  if (!answer) return fail(answer.error());
  if (*answer != 0) return fail(MessageError::kRefused);
  return {};
}

Result<std::uint64_t> BackendChannel::answer_to(BackendCode code,
                                                std::span<const std::byte> payload,
                                                std::span<const int> fds) {
  VMM_TRY_DO(connection_.send(header_of(code, payload.size(), true), payload, fds));
  VMM_TRY(const auto event, connection_.wait(kPatience));
  if (event != Connection::Event::kMessage) return fail(MessageError::kPartial);
  const Message answer = connection_.message();
  const auto number = exactly_as<std::uint64_t>(answer.payload);
  if (answer.header.request != static_cast<std::uint32_t>(code) ||
      (answer.header.flags & kReply) == 0 || !number) {
    return fail(MessageError::kBadReply);
  }
  return *number;
}

Result<void> BackendChannel::map_shmem(const ShmemArea& area, int fd) {
  if (!is_private()) return ask(BackendCode::kShmemMap, bytes_of(area), std::span(&fd, 1));
  const bool writable = (area.flags & ShmemArea::kWritable) != 0;
  const PrivateShmemMap map{.flags = static_cast<std::uint8_t>(
                                PrivateShmemMap::kRead | (writable ? PrivateShmemMap::kWrite : 0)),
                            .id = area.id,
                            .offset = area.offset,
                            .fd_offset = area.fd_offset,
                            .bytes = area.bytes};
  return ask_always(BackendCode::kPrivateShmemMap, bytes_of(map), std::span(&fd, 1));
}

Result<void> BackendChannel::unmap_shmem(const ShmemArea& area) {
  if (!is_private()) return ask(BackendCode::kShmemUnmap, bytes_of(area), {});
  const PrivateShmemUnmap unmap{.id = area.id, .offset = area.offset, .bytes = area.bytes};
  return ask_always(BackendCode::kPrivateShmemUnmap, bytes_of(unmap), {});
}

Result<void> BackendChannel::host_notifier(const VringArea& area, int fd) {
  VringArea sent = area;
  if (fd < 0) sent.index |= kNoFd;
  return ask(BackendCode::kVringHostNotifier, bytes_of(sent), std::span(&fd, fd >= 0 ? 1u : 0u));
}

Result<UniqueFd> BackendChannel::look_up_shared_object(const SharedObjectId& id) {
  if (!has(ProtocolFeature::kReplyAck)) return fail(MessageError::kNotNegotiated);
  const MutexLock lock(mutex_);
  constexpr BackendCode kCode = BackendCode::kSharedObjectLookup;
  VMM_TRY_DO(converse(kCode, bytes_of(id), {}));
  const Message answer = connection_.message();
  if (answer.fds.size() != 1) return fail(MessageError::kRefused);
  return std::move(answer.fds[0]);
}

}  // namespace vmm::vhost_user
