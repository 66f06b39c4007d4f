// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vhost_user/protocol.h"

namespace vmm::vhost_user {

/// The back end's requests to the front end, on the socket of SET_BACKEND_REQ_FD.
///
/// tell() does not wait for an answer and may be used at any time. ask() does, for at most
/// kPatience, and needs REPLY_ACK: not while the front end waits for an answer on the other socket,
/// as it might not look at this one.
///
/// Threads: any.
class BackendChannel {
 public:
  static constexpr Connection::Milliseconds kPatience{5000};  ///< of ask(), for one answer

  /// `protocol_features` are those that were agreed on: without REPLY_ACK ask() is tell(); with
  /// kPrivateShmem and without kShmem the messages for shared memory are the private ones.
  BackendChannel(Connection connection, std::uint64_t protocol_features)
      : connection_(std::move(connection)), protocol_features_(protocol_features) {}

  /// CONFIG_CHANGE_MSG. Errors: those of Connection::send().
  Result<void> config_changed() { return tell(BackendCode::kConfigChange, {}, {}); }
  /// VRING_CALL and VRING_ERR, with in-band notifications. Errors: as config_changed().
  Result<void> call(std::uint32_t queue) { return tell_ring(BackendCode::kVringCall, queue); }
  /// As call(): VRING_ERR.
  Result<void> ring_error(std::uint32_t queue) { return tell_ring(BackendCode::kVringErr, queue); }

  /// IOTLB_MSG: a miss or a refused access, without waiting for what comes of it. Errors: as
  /// config_changed().
  Result<void> tell_iotlb(const IotlbMessage& message) {
    return tell(BackendCode::kIotlbMsg, bytes_of(message), {});
  }

  // Errors of the rest: those of Connection; kRefused when the front end says no; kBadReply. After
  // any of them but kRefused nothing can be asked any more: all fails as it did then.

  /// IOTLB_MSG: a miss or a refused access. Answered when an update was sent, or is not to come.
  Result<void> iotlb(const IotlbMessage& message) {
    return ask(BackendCode::kIotlbMsg, bytes_of(message), {});
  }
  /// VRING_HOST_NOTIFIER_MSG: where the driver may notify without the front end; fd -1: nowhere.
  Result<void> host_notifier(const VringArea& area, int fd);
  ///@{
  /// SHMEM_MAP and SHMEM_UNMAP; the private messages where only those were agreed on.
  Result<void> map_shmem(const ShmemArea& area, int fd);
  Result<void> unmap_shmem(const ShmemArea& area);
  ///@}
  ///@{
  /// SHARED_OBJECT_ADD and SHARED_OBJECT_REMOVE.
  Result<void> add_shared_object(const SharedObjectId& id) {
    return ask(BackendCode::kSharedObjectAdd, bytes_of(id), {});
  }
  Result<void> remove_shared_object(const SharedObjectId& id) {
    return ask(BackendCode::kSharedObjectRemove, bytes_of(id), {});
  }
  ///@}
  /// The descriptor of an object that another back end has. Errors: also kRefused without one.
  Result<UniqueFd> look_up_shared_object(const SharedObjectId& id);

 private:
  Result<void> tell(BackendCode code, std::span<const std::byte> payload, std::span<const int> fds)
      VMM_EXCLUDES(mutex_);
  Result<void> tell_ring(BackendCode code, std::uint32_t queue);
  Result<void> ask(BackendCode code, std::span<const std::byte> payload, std::span<const int> fds)
      VMM_EXCLUDES(mutex_);
  /// ask() for what is always answered.
  Result<void> ask_always(BackendCode code, std::span<const std::byte> payload,
                          std::span<const int> fds) VMM_EXCLUDES(mutex_);
  [[nodiscard]] bool has(ProtocolFeature feature) const {
    return (protocol_features_ & bit(feature)) != 0;
  }
  [[nodiscard]] bool is_private() const {
    return has(ProtocolFeature::kPrivateShmem) && !has(ProtocolFeature::kShmem);
  }
  /// Asks and waits for the answer, which has to be 0.
  Result<void> converse(BackendCode code, std::span<const std::byte> payload,
                        std::span<const int> fds) VMM_REQUIRES(mutex_);
  /// The number in the answer.
  Result<std::uint64_t> answer_to(BackendCode code, std::span<const std::byte> payload,
                                  std::span<const int> fds) VMM_REQUIRES(mutex_);

  Mutex mutex_;
  Connection connection_ VMM_GUARDED_BY(mutex_);
  std::optional<Error> lost_ VMM_GUARDED_BY(mutex_);  // why nothing can be asked any more
  std::uint64_t protocol_features_;
};

}  // namespace vmm::vhost_user
