// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_mmio/mmio_transport.h"

#include <algorithm>
#include <cstring>

#include "vmm/base/endian.h"
#include "vmm/virtio_queue/notification.h"

namespace vmm::virtio_mmio {
namespace {

using virtio_device::SharedMemoryOwner;
using virtio_device::TransportCore;
using virtio_queue::QueueConfig;

constexpr std::uint32_t kNothing = 0xffff'ffff;

bool is_register_access(std::uint64_t offset, std::size_t bytes) {
  return bytes == sizeof(std::uint32_t) && offset % sizeof(std::uint32_t) == 0;
}

}  // namespace

Result<std::shared_ptr<MmioTransport>> MmioTransport::create(const Wiring& wiring) {
  std::shared_ptr<MmioTransport> transport(new MmioTransport(wiring));
  VMM_TRY_DO(transport->set_up(wiring));
  return transport;
}

MmioTransport::MmioTransport(const Wiring& wiring)
    : irq_(wiring.irq), doorbells_(wiring.doorbells) {}

Result<void> MmioTransport::set_up(const Wiring& wiring) {
  const MutexLock lock(mutex_);
  VMM_TRY(core_, TransportCore::create({.device = wiring.device,
                                        .memory = wiring.memory,
                                        .workers = wiring.workers,
                                        .sink = *this,
                                        .queue_features = wiring.queue_features,
                                        .lone_driver = wiring.lone_driver}));
  SharedMemoryOwner* const owner = wiring.device->shared_memory_owner();
  if (owner != nullptr && wiring.shared_memory) {
    VMM_TRY_DO(owner->place_shared_memory(&*wiring.shared_memory));
    shared_memory_ = SharedMemory{.region = owner->shared_memory(), .base = *wiring.shared_memory};
  }
  add_doorbells(wiring.base);
  return {};
}

void MmioTransport::add_doorbells(GuestAddress base) {
  const auto notify = base.checked_add(static_cast<std::uint64_t>(Register::kQueueNotify));
  for (std::uint16_t index = 0; notify && index < core_->queue_count(); ++index) {
    const vm_device::Doorbell doorbell{.address = *notify,
                                       .bytes = sizeof(std::uint32_t),
                                       .value = index,
                                       .fd = core_->kick_fd(index)};
    if (doorbells_.add(doorbell)) installed_.push_back(doorbell);
  }
}

MmioTransport::~MmioTransport() {
  const MutexLock lock(mutex_);
  for (const vm_device::Doorbell& doorbell : installed_) doorbells_.remove(doorbell);
  core_.reset();  // its workers may interrupt until then
  clear_bits(kNothing);
}

void MmioTransport::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  const MutexLock lock(mutex_);
  if (offset >= kConfigOffset) return core_->read_config(offset - kConfigOffset, data);
  if (!is_register_access(offset, data.size())) return;
  const Le32 value(read_register(static_cast<Register>(offset)));
  std::memcpy(data.data(), &value, sizeof(value));
}

void MmioTransport::write(std::uint64_t offset, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  if (offset >= kConfigOffset) return core_->write_config(offset - kConfigOffset, data);
  if (!is_register_access(offset, data.size())) return;
  Le32 value;
  std::memcpy(&value, data.data(), sizeof(value));
  write_register(static_cast<Register>(offset), value.get());
}

std::uint32_t MmioTransport::read_register(Register reg) {
  switch (reg) {
    case Register::kMagicValue:
      return kMagic;
    case Register::kVersion:
      return 2;
    case Register::kDeviceId:
      return static_cast<std::uint32_t>(core_->device().type());
    case Register::kDeviceFeatures:
      return core_->device_features(device_features_sel_);
    case Register::kInterruptStatus:
      return interrupt_status();
    case Register::kStatus:
      return core_->status();
    case Register::kConfigGeneration:
      return core_->config_generation();
    case Register::kQueueNumMax:
    case Register::kQueueReady:
      return queue_register(reg);
    case Register::kShmLenLow:
    case Register::kShmLenHigh:
    case Register::kShmBaseLow:
    case Register::kShmBaseHigh:
      return shared_memory_register(reg);
    default:
      return 0;
  }
}

std::uint32_t MmioTransport::queue_register(Register reg) const {
  const QueueConfig* const queue = core_->queue(queue_sel_);
  if (queue == nullptr) return 0;
  return reg == Register::kQueueReady ? std::uint32_t{queue->ready()} : queue->max_size();
}

// All ones stand for a region that does not exist: 4.2.2.
std::uint32_t MmioTransport::shared_memory_register(Register reg) const {
  if (!shared_memory_ || shared_memory_->region.id != shm_sel_) return kNothing;
  const bool base = reg == Register::kShmBaseLow || reg == Register::kShmBaseHigh;
  const bool high = reg == Register::kShmLenHigh || reg == Register::kShmBaseHigh;
  const std::uint64_t value = base ? shared_memory_->base.raw() : shared_memory_->region.bytes;
  return static_cast<std::uint32_t>(value >> (high ? 32 : 0));
}

void MmioTransport::write_register(Register reg, std::uint32_t value) {
  switch (reg) {
    case Register::kDeviceFeaturesSel:
      device_features_sel_ = value;
      return;
    case Register::kDriverFeaturesSel:
      driver_features_sel_ = value;
      return;
    case Register::kDriverFeatures:
      return core_->set_driver_features(driver_features_sel_, value);
    case Register::kQueueSel:
      queue_sel_ = value;
      return;
    case Register::kShmSel:
      shm_sel_ = value;
      return;
    case Register::kQueueNotify:
      return core_->kick(queue_of(value));
    case Register::kInterruptAck:
      if ((core_->status() & virtio_device::kDriverOk) != 0) clear_bits(value);
      return;
    case Register::kStatus:
      return write_status(value);
    default:
      return write_queue_register(reg, value);
  }
}

// With NOTIFICATION_DATA a driver writes more than the queue's number: 4.2.3.3.
std::uint32_t MmioTransport::queue_of(std::uint32_t notification) const {
  if (!core_->negotiated(virtio_queue::kFeatureNotificationData)) return notification;
  return virtio_queue::NotificationData::parse(notification).queue;
}

void MmioTransport::write_status(std::uint32_t value) {
  core_->set_status(static_cast<std::uint8_t>(value));
  if (core_->status() == 0) clear_bits(kNothing);
}

void MmioTransport::write_queue_register(Register reg, std::uint32_t value) {
  if (reg == Register::kQueueReset) {
    if (value == 1) core_->reset_queue(queue_sel_);
    return;
  }
  if (reg == Register::kQueueReady) {
    if (value == 1) core_->enable_queue(queue_sel_);
    if (value == 0) core_->disable_queue(queue_sel_);
    return;
  }
  QueueConfig* const queue = core_->editable_queue(queue_sel_);
  if (queue == nullptr) return;
  using Half = QueueConfig::Half;
  // A value that is refused leaves the old one.
  if (reg == Register::kQueueNum) (void)queue->set_size(value);
  if (reg == Register::kQueueDescLow) (void)queue->set_descriptors(Half::kLow, value);
  if (reg == Register::kQueueDescHigh) (void)queue->set_descriptors(Half::kHigh, value);
  if (reg == Register::kQueueDriverLow) (void)queue->set_driver(Half::kLow, value);
  if (reg == Register::kQueueDriverHigh) (void)queue->set_driver(Half::kHigh, value);
  if (reg == Register::kQueueDeviceLow) (void)queue->set_device(Half::kLow, value);
  if (reg == Register::kQueueDeviceHigh) (void)queue->set_device(Half::kHigh, value);
}

void MmioTransport::queue_interrupt(std::uint16_t) { assert_bits(kInterruptUsedBuffers); }

void MmioTransport::config_interrupt() { assert_bits(kInterruptConfigChange); }

// A line is shared by all queues, and InterruptStatus has to be set before: not by an eventfd.
int MmioTransport::queue_interrupt_fd(std::uint16_t) { return -1; }

void MmioTransport::assert_bits(std::uint32_t bits) {
  const MutexLock lock(irq_mutex_);
  interrupt_status_ |= bits;
  irq_.set(true);
}

// What came after the driver's look at the status is still to be told. Where the line is an edge,
// as on x86, that takes another one.
void MmioTransport::clear_bits(std::uint32_t bits) {
  const MutexLock lock(irq_mutex_);
  interrupt_status_ &= ~bits;
  irq_.set(false);
  if (interrupt_status_ != 0) irq_.set(true);
}

std::uint32_t MmioTransport::interrupt_status() {
  const MutexLock lock(irq_mutex_);
  return interrupt_status_;
}

}  // namespace vmm::virtio_mmio
