// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "event_line.h"
#include "vmm/base/mutex.h"
#include "vmm/vhost_user/backend_channel.h"
#include "vmm/vhost_user_backend/device_extension.h"
#include "vmm/virtio_device/interrupt.h"

namespace vmm::vhost_user_backend {

/// The way from the device to the driver: the front end's call descriptors, or messages where there
/// are none.
///
/// Threads: as Interrupt; the rest is the session's.
class FrontendLink final : public virtio_device::Interrupt, public FrontendServices {
 public:
  /// Errors: those of eventfd(2).
  static Result<std::shared_ptr<FrontendLink>> create(std::uint32_t queues);

  void used_buffers(std::uint16_t queue) override;
  [[nodiscard]] int used_buffers_fd(std::uint16_t queue) override { return calls_[queue].fd(); }
  void config_changed() override;
  void needs_reset() override;
  /// Asks for a mapping, or tells of a refused access; does not wait.
  void iotlb(const vhost_user::IotlbMessage& message);

  Result<void> set_host_notifier(const vhost_user::VringArea& area, int fd) override;
  Result<void> map_shmem(const vhost_user::ShmemArea& area, int fd) override;
  Result<void> unmap_shmem(const vhost_user::ShmemArea& area) override;
  Result<void> add_shared_object(const vhost_user::SharedObjectId& id) override;
  Result<void> remove_shared_object(const vhost_user::SharedObjectId& id) override;
  Result<UniqueFd> look_up_shared_object(const vhost_user::SharedObjectId& id) override;

  /// From when the device is activated until it was reset, calls have an effect.
  void open() { open_.store(true, std::memory_order_release); }
  void close() { open_.store(false, std::memory_order_release); }

  /// An empty `fd` disconnects it. A new one is signalled while the device is active: what the one
  /// before it was told may have reached nobody. Errors: those of EventLine::connect().
  Result<void> set_call(std::uint32_t queue, const UniqueFd& fd);
  void set_channel(std::shared_ptr<vhost_user::BackendChannel> channel);
  /// Which protocol features the front end has agreed to: among them whether calls without a
  /// descriptor are messages.
  void set_protocol_features(std::uint64_t features) {
    protocol_features_.store(features, std::memory_order_relaxed);
  }
  /// What is signalled when the device needs a reset; borrowed.
  void add_error_line(const EventLine& line) { errors_.push_back(&line); }

  [[nodiscard]] bool wants_reset() const { return broken_.load(std::memory_order_acquire); }
  void forget_breakage() { broken_.store(false, std::memory_order_release); }
  /// Forgets the front end.
  void disconnect();

 private:
  explicit FrontendLink(std::vector<EventLine> calls);
  [[nodiscard]] std::shared_ptr<vhost_user::BackendChannel> channel();
  [[nodiscard]] bool has(vhost_user::ProtocolFeature feature) const {
    return (protocol_features_.load(std::memory_order_relaxed) & bit(feature)) != 0;
  }
  /// The one that says how shared memory is mapped.
  [[nodiscard]] vhost_user::ProtocolFeature shmem_feature() const {
    using enum vhost_user::ProtocolFeature;
    return has(kShmem) ? kShmem : kPrivateShmem;
  }
  /// The channel, where this feature was agreed to. Errors: kNotNegotiated.
  Result<std::shared_ptr<vhost_user::BackendChannel>> channel_for(
      vhost_user::ProtocolFeature feature);

  std::vector<EventLine> calls_;
  std::unique_ptr<std::atomic<bool>[]> connected_;
  std::vector<const EventLine*> errors_;
  std::atomic<bool> open_{false};
  std::atomic<std::uint64_t> protocol_features_{0};
  std::atomic<bool> broken_{false};
  Mutex mutex_;
  std::shared_ptr<vhost_user::BackendChannel> channel_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vhost_user_backend
