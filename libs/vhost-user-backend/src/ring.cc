// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "ring.h"

#include <unistd.h>

#include "vmm/base/endian.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::vhost_user_backend {

using vhost_user::MessageError;
using virtio_queue::QueuePosition;

Result<Ring> Ring::create(std::uint16_t index, std::uint16_t max_size) {
  VMM_TRY(EventLine error, EventLine::create());
  VMM_TRY(auto config, virtio_queue::QueueConfig::create(max_size));
  return Ring(std::move(error), index, std::move(config));
}

Result<void> Ring::set_size(std::uint32_t size) {
  if (active()) return fail(MessageError::kBadState);
  VMM_TRY_DO(config_.set_size(size));
  return {};
}

Result<void> Ring::set_addresses(const vhost_user::VringAddresses& addresses,
                                 const RingMemory& memory) {
  if (active()) {  // a migration begins or ends: only the log may change
    const bool same = addresses.descriptors == addresses_.descriptors &&
                      addresses.available == addresses_.available &&
                      addresses.used == addresses_.used;
    if (!same) return fail(MessageError::kBadState);
  }
  const auto layout = virtio_queue::ring_layout(config_.size(), packed());
  if (!memory.find(addresses.descriptors, layout.descriptors) ||
      !memory.find(addresses.available, layout.driver) ||
      !memory.find(addresses.used, layout.device)) {
    return fail(MessageError::kBadRange);
  }
  addresses_ = addresses;
  has_addresses_ = true;
  return {};
}

std::array<RingPart, 3> Ring::parts() const {
  using vm_memory::Access;
  const auto layout = virtio_queue::ring_layout(config_.size(), packed());
  const Access table = packed() ? Access::kReadWrite : Access::kRead;
  return {RingPart{{Iova(addresses_.descriptors), layout.descriptors}, table},
          RingPart{{Iova(addresses_.available), layout.driver}, Access::kRead},
          RingPart{{Iova(addresses_.used), layout.device}, Access::kWrite}};
}

Result<void> Ring::set_base(std::uint32_t base) {
  if (active()) return fail(MessageError::kBadState);
  base_ = base;
  position_.reset();
  return {};
}

Result<void> Ring::start(UniqueFd kick) {
  if (!kick) {
    VMM_TRY(auto own, sys_util::EventFd::create());
    kick = std::move(own).release();
  }
  VMM_TRY_DO(sys_util::set_nonblocking(kick.get(), "vring kick: fcntl"));
  kick_ = std::move(kick);
  started_ = true;
  return {};
}

std::uint32_t Ring::stop() {
  started_ = false;
  kick_.reset();
  if (position_) {
    base_ = position_->next_avail;
    if (packed()) base_ |= std::uint32_t{position_->next_used} << 16;
    position_.reset();
  }
  return base_;
}

Result<void> Ring::kick() {
  if (!started_) VMM_TRY_DO(start({}));
  const std::uint64_t one = 1;
  (void)!::write(kick_.get(), &one, sizeof(one));
  return {};
}

// A split ring's used index is what the driver sees of it; who counts from 0 again at each start,
// as DPDK does, means what was not used yet. A packed ring's base says both; one that says only
// half means that nothing is in flight.
Result<QueuePosition> Ring::start_position(const RingMemory& memory) const {
  if (position_) return *position_;
  auto avail = static_cast<std::uint16_t>(base_);
  if (packed()) {
    const auto used = static_cast<std::uint16_t>(base_ >> 16);
    return QueuePosition{.next_avail = avail, .next_used = base_ <= 0xffff ? avail : used};
  }
  if (base_ > 0xffff) return fail(MessageError::kBadValue);
  const auto index = config_.rings().device.checked_add(virtio_queue::SplitUsed::kIndex);
  if (!index) return fail(MessageError::kBadRange);
  VMM_TRY(const auto used, memory.memory().view().read<Le16>(*index));
  if (avail == 0 && static_cast<std::uint16_t>(avail - used.get()) > config_.size()) {
    avail = used.get();
  }
  return QueuePosition{.next_avail = avail, .next_used = used.get()};
}

Result<virtio_device::ActiveQueue> Ring::activate(const RingMemory& memory,
                                                  std::optional<vm_memory::GuestSlice> inflight) {
  if (!has_addresses_) return fail(MessageError::kBadState);
  const auto layout = virtio_queue::ring_layout(config_.size(), packed());
  const auto descriptors = memory.find(addresses_.descriptors, layout.descriptors);
  const auto driver = memory.find(addresses_.available, layout.driver);
  const auto device = memory.find(addresses_.used, layout.device);
  if (!descriptors || !driver || !device) return fail(MessageError::kBadRange);
  VMM_TRY_DO(config_.set_descriptors(*descriptors));
  VMM_TRY_DO(config_.set_driver(*driver));
  VMM_TRY_DO(config_.set_device(*device));
  config_.set_ready(true);
  VMM_TRY(const QueuePosition position, start_position(memory));
  VMM_TRY(auto queue, config_.activate(memory.memory(), position));
  if (inflight) VMM_TRY_DO(queue.track_inflight(*inflight));
  left_at_ = std::make_shared<QueuePosition>(queue.position());
  return virtio_device::ActiveQueue{
      .index = index_, .queue = std::move(queue), .kick_fd = kick_.get(), .left_at = left_at_};
}

void Ring::deactivate() {
  if (left_at_ == nullptr) return;
  position_ = *left_at_;
  left_at_.reset();
}

void Ring::reset() {
  config_.reset();
  config_.set_features(0);
  addresses_ = {};
  has_addresses_ = false;
  base_ = 0;
  kick_.reset();
  started_ = false;
  enabled_ = false;
  polled_ = false;
  position_.reset();
  left_at_.reset();
}

}  // namespace vmm::vhost_user_backend
