// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue_config.h"

#include "vmm/base/checked.h"

namespace vmm::virtio_queue {
namespace {

[[nodiscard]] bool is_good_size(std::uint32_t size, std::uint32_t max, bool packed) {
  return size >= 1 && size <= max && (packed || is_power_of_two(size));
}

}  // namespace

Result<QueueConfig, QueueError> QueueConfig::create(std::uint16_t max_size) {
  if (!is_good_size(max_size, kMaxQueueSize, false)) return fail(QueueError::kBadSize);
  QueueConfig config;
  config.state_.max_size = max_size;
  config.state_.size = max_size;
  return config;
}

Result<QueueConfig, QueueError> QueueConfig::restore(const QueueConfigState& state) {
  auto config = create(state.max_size);
  if (!config) return fail(QueueError::kBadState);
  // A queue that is not ready may have been set up for the other kind of ring; activate() looks.
  config->set_features(state.ready ? state.features : std::uint64_t{kFeaturePacked});
  if (!config->set_size(state.size)) return fail(QueueError::kBadState);
  config->set_features(state.ready ? state.features : 0);
  if (!config->set_descriptors(state.rings.descriptors) ||
      !config->set_driver(state.rings.driver) || !config->set_device(state.rings.device)) {
    return fail(QueueError::kBadState);
  }
  config->set_features(state.features);
  config->set_ready(state.ready);
  return config;
}

void QueueConfig::reset() {
  state_ = {.max_size = state_.max_size,
            .size = state_.max_size,
            .ready = false,
            .rings = {},
            .features = state_.features};
}

Result<void, QueueError> QueueConfig::set_size(std::uint32_t size) {
  if (!is_good_size(size, state_.max_size, packed())) return fail(QueueError::kBadSize);
  state_.size = static_cast<std::uint16_t>(size);
  return {};
}

Result<void, QueueError> QueueConfig::set_descriptors(GuestAddress address) {
  if (!address.is_aligned(kDescriptorBytes)) return fail(QueueError::kMisaligned);
  state_.rings.descriptors = address;
  return {};
}

Result<void, QueueError> QueueConfig::set_driver(GuestAddress address) {
  if (!address.is_aligned(ring_layout(1, packed()).driver_alignment)) {
    return fail(QueueError::kMisaligned);
  }
  state_.rings.driver = address;
  return {};
}

Result<void, QueueError> QueueConfig::set_device(GuestAddress address) {
  if (!address.is_aligned(ring_layout(1, packed()).device_alignment)) {
    return fail(QueueError::kMisaligned);
  }
  state_.rings.device = address;
  return {};
}

GuestAddress QueueConfig::with_half(GuestAddress old, Half half, std::uint32_t value) {
  constexpr std::uint64_t kLowBits = 0xffffffff;
  if (half == Half::kLow) return GuestAddress((old.raw() & ~kLowBits) | value);
  return GuestAddress((old.raw() & kLowBits) | std::uint64_t{value} << 32);
}

QueueShape QueueConfig::shape() const {
  return {.rings = state_.rings,
          .size = state_.size,
          .packed = packed(),
          .event_idx = (state_.features & kFeatureEventIdx) != 0,
          .in_order = (state_.features & kFeatureInOrder) != 0};
}

/// The kind of ring may have been agreed on after the size was set.
Result<void, QueueError> QueueConfig::check_size() const {
  if (!state_.ready) return fail(QueueError::kNotReady);
  if (!is_good_size(state_.size, state_.max_size, packed())) return fail(QueueError::kBadSize);
  return {};
}

Result<void, QueueError> QueueConfig::validate(vm_memory::MemoryView memory) const {
  VMM_TRY_DO(check_size());
  VMM_TRY_DO(detail::resolve(shape(), memory));
  return {};
}

Result<Queue, QueueError> QueueConfig::activate(const vm_memory::GuestMemory& memory) const {
  return activate(memory, Queue::start_position(packed()));
}

Result<Queue, QueueError> QueueConfig::activate(const vm_memory::GuestMemory& memory,
                                                const QueuePosition& position) const {
  VMM_TRY_DO(check_size());
  return Queue::create(shape(), memory, position);
}

}  // namespace vmm::virtio_queue
