// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "common_config.h"

#include "vmm/base/endian.h"

namespace vmm::virtio_pci::detail {
namespace {

using virtio_queue::QueueConfig;

constexpr std::size_t kWord = sizeof(std::uint32_t);

/// The size of the register at `offset`; 0 when none begins there.
std::size_t register_bytes(std::uint64_t offset) {
  if (offset >= kCommonPart.bytes) return 0;
  switch (static_cast<Common>(offset)) {
    case Common::kDeviceStatus:
    case Common::kConfigGeneration:
      return 1;
    case Common::kConfigMsixVector:
    case Common::kNumQueues:
    case Common::kQueueSelect:
    case Common::kQueueSize:
    case Common::kQueueMsixVector:
    case Common::kQueueEnable:
    case Common::kQueueNotifyOff:
    case Common::kQueueNotifyData:
    case Common::kQueueReset:
      return 2;
    case Common::kDeviceFeatureSelect:
    case Common::kDeviceFeature:
    case Common::kDriverFeatureSelect:
    case Common::kDriverFeature:
    case Common::kQueueDescLow:
    case Common::kQueueDescHigh:
    case Common::kQueueDriverLow:
    case Common::kQueueDriverHigh:
    case Common::kQueueDeviceLow:
    case Common::kQueueDeviceHigh:
      return kWord;
  }
  return 0;
}

bool is_address(std::uint64_t offset, std::size_t bytes) {
  return bytes == 2 * kWord && offset % bytes == 0 &&
         offset >= static_cast<std::uint64_t>(Common::kQueueDescLow) &&
         offset <= static_cast<std::uint64_t>(Common::kQueueDeviceLow);
}

std::uint32_t half(GuestAddress address, bool high) {
  return static_cast<std::uint32_t>(address.raw() >> (high ? 32 : 0));
}

}  // namespace

CommonConfig::CommonConfig(virtio_device::TransportCore& core, std::uint16_t vectors)
    : core_(core), vectors_(vectors), queue_vectors_(core.queue_count()) {
  reset();
}

void CommonConfig::reset() {
  device_feature_select_ = 0;
  driver_feature_select_ = 0;
  queue_select_ = 0;
  config_vector_.store(kNoVector, std::memory_order_relaxed);
  for (Vector& vector : queue_vectors_) vector.store(kNoVector, std::memory_order_relaxed);
}

void CommonConfig::read(std::uint64_t offset, std::span<std::byte> data) {
  if (is_address(offset, data.size())) {
    read(offset, data.first(kWord));
    read(offset + kWord, data.subspan(kWord));
    return;
  }
  if (data.empty() || data.size() != register_bytes(offset)) return;
  const std::uint32_t value = get(static_cast<Common>(offset));
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<std::byte>(value >> (8 * i));
  }
}

void CommonConfig::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (is_address(offset, data.size())) {
    write(offset, data.first(kWord));
    write(offset + kWord, data.subspan(kWord));
    return;
  }
  if (data.empty() || data.size() != register_bytes(offset)) return;
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < data.size(); ++i) {
    value |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
  }
  set(static_cast<Common>(offset), value);
}

std::uint32_t CommonConfig::get(Common reg) {
  switch (reg) {
    case Common::kDeviceFeatureSelect:
      return device_feature_select_;
    case Common::kDeviceFeature:
      return core_.device_features(device_feature_select_);
    case Common::kDriverFeatureSelect:
      return driver_feature_select_;
    case Common::kDriverFeature:
      return core_.driver_features(driver_feature_select_);
    case Common::kConfigMsixVector:
      return config_vector();
    case Common::kNumQueues:
      return core_.queue_count();
    case Common::kDeviceStatus:
      return core_.status();
    case Common::kConfigGeneration:
      return core_.config_generation();
    case Common::kQueueSelect:
      return queue_select_;
    default:
      return get_queue(reg);
  }
}

std::uint32_t CommonConfig::get_queue(Common reg) const {
  const QueueConfig* const queue = core_.queue(queue_select_);
  if (queue == nullptr) return reg == Common::kQueueMsixVector ? kNoVector : 0;
  switch (reg) {
    case Common::kQueueSize:
      return queue->size();
    case Common::kQueueMsixVector:
      return queue_vector(queue_select_);
    case Common::kQueueEnable:
      return std::uint32_t{queue->ready()};
    case Common::kQueueNotifyOff:
    case Common::kQueueNotifyData:
      return queue_select_;
    case Common::kQueueDescLow:
    case Common::kQueueDescHigh:
      return half(queue->rings().descriptors, reg == Common::kQueueDescHigh);
    case Common::kQueueDriverLow:
    case Common::kQueueDriverHigh:
      return half(queue->rings().driver, reg == Common::kQueueDriverHigh);
    case Common::kQueueDeviceLow:
    case Common::kQueueDeviceHigh:
      return half(queue->rings().device, reg == Common::kQueueDeviceHigh);
    default:  // a reset of a queue is over when the write returns
      return 0;
  }
}

void CommonConfig::set(Common reg, std::uint32_t value) {
  switch (reg) {
    case Common::kDeviceFeatureSelect:
      device_feature_select_ = value;
      return;
    case Common::kDriverFeatureSelect:
      driver_feature_select_ = value;
      return;
    case Common::kDriverFeature:
      return core_.set_driver_features(driver_feature_select_, value);
    case Common::kConfigMsixVector:
      return set_vector(config_vector_, value);
    case Common::kDeviceStatus:
      return core_.set_status(static_cast<std::uint8_t>(value));
    case Common::kQueueSelect:
      queue_select_ = static_cast<std::uint16_t>(value);
      return;
    default:
      return set_queue(reg, value);
  }
}

void CommonConfig::set_queue(Common reg, std::uint32_t value) {
  if (core_.queue(queue_select_) == nullptr) return;
  if (reg == Common::kQueueMsixVector) {
    const std::uint16_t before = queue_vector(queue_select_);
    set_vector(queue_vectors_[queue_select_], value);
    if (queue_vector(queue_select_) != before) core_.interrupts_moved();
    return;
  }
  if (reg == Common::kQueueEnable && value == 1) return core_.enable_queue(queue_select_);
  if (reg == Common::kQueueReset && value == 1) return core_.reset_queue(queue_select_);
  QueueConfig* const queue = core_.editable_queue(queue_select_);
  if (queue == nullptr) return;
  using Half = QueueConfig::Half;
  // A value that is refused leaves the old one.
  if (reg == Common::kQueueSize) (void)queue->set_size(value);
  if (reg == Common::kQueueDescLow) (void)queue->set_descriptors(Half::kLow, value);
  if (reg == Common::kQueueDescHigh) (void)queue->set_descriptors(Half::kHigh, value);
  if (reg == Common::kQueueDriverLow) (void)queue->set_driver(Half::kLow, value);
  if (reg == Common::kQueueDriverHigh) (void)queue->set_driver(Half::kHigh, value);
  if (reg == Common::kQueueDeviceLow) (void)queue->set_device(Half::kLow, value);
  if (reg == Common::kQueueDeviceHigh) (void)queue->set_device(Half::kHigh, value);
}

// What the driver reads back tells it whether there is such a vector: 4.1.5.1.2.
void CommonConfig::set_vector(Vector& vector, std::uint32_t value) const {
  vector.store(value < vectors_ ? static_cast<std::uint16_t>(value) : kNoVector,
               std::memory_order_relaxed);
}

}  // namespace vmm::virtio_pci::detail
