// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "frontend_link.h"

#include <utility>

namespace vmm::vhost_user_backend {

using vhost_user::BackendChannel;
using vhost_user::ProtocolFeature;

FrontendLink::FrontendLink(std::vector<EventLine> calls)
    : calls_(std::move(calls)), connected_(std::make_unique<std::atomic<bool>[]>(calls_.size())) {}

Result<std::shared_ptr<FrontendLink>> FrontendLink::create(std::uint32_t queues) {
  std::vector<EventLine> calls;
  for (std::uint32_t i = 0; i < queues; ++i) {
    VMM_TRY(EventLine line, EventLine::create());
    calls.push_back(std::move(line));
  }
  return std::shared_ptr<FrontendLink>(new FrontendLink(std::move(calls)));
}

std::shared_ptr<BackendChannel> FrontendLink::channel() {
  const MutexLock lock(mutex_);
  return channel_;
}

Result<std::shared_ptr<BackendChannel>> FrontendLink::channel_for(ProtocolFeature feature) {
  auto to = channel();
  if (to == nullptr || !has(feature)) return fail(vhost_user::MessageError::kNotNegotiated);
  return to;
}

Result<void> FrontendLink::set_host_notifier(const vhost_user::VringArea& area, int fd) {
  VMM_TRY(const auto to, channel_for(ProtocolFeature::kHostNotifier));
  return to->host_notifier(area, fd);
}

Result<void> FrontendLink::map_shmem(const vhost_user::ShmemArea& area, int fd) {
  VMM_TRY(const auto to, channel_for(shmem_feature()));
  return to->map_shmem(area, fd);
}

Result<void> FrontendLink::unmap_shmem(const vhost_user::ShmemArea& area) {
  VMM_TRY(const auto to, channel_for(shmem_feature()));
  return to->unmap_shmem(area);
}

Result<void> FrontendLink::add_shared_object(const vhost_user::SharedObjectId& id) {
  VMM_TRY(const auto to, channel_for(ProtocolFeature::kSharedObject));
  return to->add_shared_object(id);
}

Result<void> FrontendLink::remove_shared_object(const vhost_user::SharedObjectId& id) {
  VMM_TRY(const auto to, channel_for(ProtocolFeature::kSharedObject));
  return to->remove_shared_object(id);
}

Result<UniqueFd> FrontendLink::look_up_shared_object(const vhost_user::SharedObjectId& id) {
  VMM_TRY(const auto to, channel_for(ProtocolFeature::kSharedObject));
  return to->look_up_shared_object(id);
}

void FrontendLink::used_buffers(std::uint16_t queue) {
  if (!open_.load(std::memory_order_acquire)) return;
  if (connected_[queue].load(std::memory_order_relaxed)) return calls_[queue].signal();
  if (!has(ProtocolFeature::kInbandNotifications)) return;  // the front end looks by itself
  if (const auto to = channel()) (void)to->call(queue);
}

void FrontendLink::config_changed() {
  if (!open_.load(std::memory_order_acquire)) return;
  if (const auto to = channel()) (void)to->config_changed();
}

void FrontendLink::needs_reset() {
  if (!open_.load(std::memory_order_acquire) || broken_.exchange(true)) return;
  for (const EventLine* const line : errors_) line->signal();
  config_changed();
}

void FrontendLink::iotlb(const vhost_user::IotlbMessage& message) {
  if (const auto to = channel()) (void)to->tell_iotlb(message);
}

Result<void> FrontendLink::set_call(std::uint32_t queue, const UniqueFd& fd) {
  connected_[queue].store(static_cast<bool>(fd), std::memory_order_relaxed);
  if (!fd) {
    calls_[queue].disconnect();
    return {};
  }
  VMM_TRY_DO(calls_[queue].connect(fd));
  if (open_.load(std::memory_order_acquire)) calls_[queue].signal();
  return {};
}

void FrontendLink::set_channel(std::shared_ptr<BackendChannel> channel) {
  const MutexLock lock(mutex_);
  channel_ = std::move(channel);
}

void FrontendLink::disconnect() {
  close();
  for (std::uint32_t i = 0; i < calls_.size(); ++i) (void)set_call(i, UniqueFd());
  set_protocol_features(0);
  set_channel(nullptr);
  forget_breakage();
}

}  // namespace vmm::vhost_user_backend
