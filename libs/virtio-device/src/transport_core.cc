// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/transport_core.h"

#include <cerrno>
#include <utility>

#include "driver_link.h"
#include "vmm/base/log.h"

namespace vmm::virtio_device {
namespace {

constexpr std::size_t kMaxConfigBytes = 4096;

// The steps of 3.1.1; each is reached from the one before.
constexpr std::uint8_t kSteps[] = {0, kAcknowledge, kAcknowledge | kDriver,
                                   kAcknowledge | kDriver | kFeaturesOk,
                                   kAcknowledge | kDriver | kFeaturesOk | kDriverOk};

// The first two change nothing but the status, and some drivers (SeaBIOS, the Rust virtio-drivers)
// take them by one write.
bool is_next_step(std::uint8_t from, std::uint8_t to) {
  if (from == 0 && to == (kAcknowledge | kDriver)) return true;
  for (std::size_t i = 0; i + 1 < std::size(kSteps); ++i) {
    if (kSteps[i] == from && kSteps[i + 1] == to) return true;
  }
  return false;
}

}  // namespace

TransportCore::TransportCore(Parts parts)
    : parts_(std::move(parts)),
      offered_(parts_.device->features() |
               (parts_.queue_features & parts_.device->queue_features()) | kFeatureVersion1 |
               (parts_.behind_iommu ? kFeatureAccessPlatform : 0)),
      link_(std::make_shared<detail::DriverLink>(*parts_.device, parts_.sink)) {}

Result<std::unique_ptr<TransportCore>> TransportCore::create(Parts parts) {
  if (parts.device->config_bytes() > kMaxConfigBytes) {
    return fail(Error::os(EINVAL, "virtio device: configuration space beyond 4096 bytes"));
  }
  std::unique_ptr<TransportCore> core(new TransportCore(std::move(parts)));
  for (const std::uint16_t size : core->parts_.device->queue_sizes()) {
    VMM_TRY_DO(core->add_queue(size));
  }
  return core;
}

TransportCore::~TransportCore() { reset(); }

Result<void> TransportCore::add_queue(std::uint16_t max_size) {
  VMM_TRY(auto config, virtio_queue::QueueConfig::create(max_size));
  VMM_TRY(auto kick, sys_util::EventFd::create());
  queues_.push_back({.config = std::move(config), .kick = std::move(kick)});
  return {};
}

std::uint32_t TransportCore::device_features(std::uint32_t word) const {
  return word > 1 ? 0 : static_cast<std::uint32_t>(offered_ >> (32 * word));
}

std::uint32_t TransportCore::driver_features(std::uint32_t word) const {
  return word > 1 ? 0 : static_cast<std::uint32_t>(driver_features_ >> (32 * word));
}

void TransportCore::set_driver_features(std::uint32_t word, std::uint32_t value) {
  if (driver_status_ != (kAcknowledge | kDriver) || word > 1) return;
  const unsigned shift = 32 * word;
  driver_features_ &= ~(std::uint64_t{0xffff'ffff} << shift);
  driver_features_ |= std::uint64_t{value} << shift;
}

std::uint8_t TransportCore::status() const {
  return static_cast<std::uint8_t>(driver_status_ | (link_->wants_reset() ? kNeedsReset : 0));
}

void TransportCore::set_status(std::uint8_t value) {
  if (value == 0) return reset();
  value = static_cast<std::uint8_t>(value & ~kNeedsReset);
  if ((value & kFailed) != 0) {
    driver_status_ |= kFailed;
    return;
  }
  if (parts_.lone_driver && (value & kDriver) != 0) value |= kAcknowledge;
  if (value == driver_status_) return;
  if (!is_next_step(driver_status_, value)) {
    VMM_LOG_GUEST(kWarn, "virtio device %u: status %#x after %#x",
                  static_cast<unsigned>(parts_.device->type()), value, driver_status_);
    return;
  }
  step(value);
}

void TransportCore::step(std::uint8_t value) {
  const std::uint8_t added = static_cast<std::uint8_t>(value & ~driver_status_);
  if (added == kFeaturesOk && !accept_features()) return;
  driver_status_ = value;
  if (added == kDriverOk) activate();
}

bool TransportCore::accept_features() {
  const bool ignores_iommu = parts_.behind_iommu && !negotiated(kFeatureAccessPlatform);
  if ((driver_features_ & ~offered_) != 0 || !negotiated(kFeatureVersion1) || ignores_iommu ||
      !parts_.device->accepts(driver_features_)) {
    VMM_LOG_GUEST(kWarn, "virtio device %u: features %#llx, offered are %#llx",
                  static_cast<unsigned>(parts_.device->type()),
                  static_cast<unsigned long long>(driver_features_),
                  static_cast<unsigned long long>(offered_));
    return false;
  }
  for (QueueSlot& slot : queues_) slot.config.set_features(driver_features_);
  parts_.device->set_features(driver_features_);
  (void)link_->generation();  // what the device says of itself may depend on them
  return true;
}

Result<ActiveQueue> TransportCore::make_queue(std::uint16_t index) {
  VMM_TRY(auto queue, queues_[index].config.activate(parts_.memory));
  return ActiveQueue{
      .index = index, .queue = std::move(queue), .kick_fd = queues_[index].kick.fd()};
}

Result<std::vector<ActiveQueue>> TransportCore::make_queues() {
  std::vector<ActiveQueue> active;
  for (std::uint16_t index = 0; index < queue_count(); ++index) {
    if (!queues_[index].config.ready()) continue;
    VMM_TRY(auto queue, make_queue(index));
    active.push_back(std::move(queue));
  }
  return active;
}

void TransportCore::activate() {
  const auto start = [this]() -> Result<void> {
    VMM_TRY(auto queues, make_queues());
    link_->open();
    VMM_TRY(auto workers, parts_.device->activate({.memory = parts_.memory,
                                                   .features = driver_features_,
                                                   .queues = std::move(queues),
                                                   .interrupt = link_}));
    return parts_.workers.start(std::move(workers));
  };
  const Result<void> started = start();
  if (!started) {
    VMM_LOG_GUEST(kWarn, "virtio device %u does not start: %s",
                  static_cast<unsigned>(parts_.device->type()), to_string(started.error()).c_str());
    link_->close();
    parts_.device->reset();
    return link_->did_not_start();
  }
  active_ = true;
  (void)link_->generation();  // the start may have changed what the device says of itself
}

void TransportCore::stop() {
  if (!active_) return;
  parts_.workers.stop();
  link_->close();
  parts_.device->reset();
  active_ = false;
  driver_status_ = static_cast<std::uint8_t>(driver_status_ & ~kDriverOk);
}

void TransportCore::reset() {
  stop();
  link_->close();  // also of a device that did not start
  if ((driver_status_ & kFeaturesOk) != 0) {
    parts_.device->set_features(0);
    (void)link_->generation();  // the next driver sees what is true now
  }
  for (QueueSlot& slot : queues_) {
    slot.config.reset();
    slot.config.set_features(0);
    slot.stopped = false;
    (void)slot.kick.take();  // an old kick means nothing
  }
  driver_features_ = 0;
  driver_status_ = 0;
}

bool TransportCore::may_set_up_queues() const {
  return driver_status_ == (kAcknowledge | kDriver | kFeaturesOk);
}

const virtio_queue::QueueConfig* TransportCore::queue(std::uint32_t index) const {
  return index < queues_.size() ? &queues_[index].config : nullptr;
}

virtio_queue::QueueConfig* TransportCore::editable_queue(std::uint32_t index) {
  if (index >= queues_.size()) return nullptr;
  QueueSlot& slot = queues_[index];
  if (slot.config.ready()) return nullptr;
  const bool stopped = slot.stopped && (driver_status_ & kFailed) == 0;
  return may_set_up_queues() || stopped ? &slot.config : nullptr;
}

void TransportCore::enable_queue(std::uint32_t index) {
  virtio_queue::QueueConfig* const config = editable_queue(index);
  if (config == nullptr) return;
  config->set_ready(true);
  if (!active_) return;
  auto queue = make_queue(static_cast<std::uint16_t>(index));
  if (!queue || !parts_.workers.start_queue(std::move(*queue))) {
    config->set_ready(false);
    return;
  }
  queues_[index].stopped = false;
}

void TransportCore::disable_queue(std::uint32_t index) {
  if (index >= queues_.size()) return;
  QueueSlot& slot = queues_[index];
  if (may_set_up_queues()) return slot.config.set_ready(false);
  if (runs(slot) && (offered_ & virtio_queue::kFeatureRingReset) != 0) {
    parts_.workers.stop_queue(static_cast<std::uint16_t>(index));
    slot.config.set_ready(false);
    slot.stopped = true;
  }
}

void TransportCore::reset_queue(std::uint32_t index) {
  if (index >= queues_.size() || !negotiated(virtio_queue::kFeatureRingReset)) return;
  QueueSlot& slot = queues_[index];
  if (may_set_up_queues()) return slot.config.reset();
  if (!active_ || (driver_status_ & kFailed) != 0) return;
  if (runs(slot)) parts_.workers.stop_queue(static_cast<std::uint16_t>(index));
  slot.config.reset();
  slot.stopped = true;
}

bool TransportCore::runs(const QueueSlot& slot) const {
  return active_ && (driver_status_ & kFailed) == 0 && slot.config.ready();
}

int TransportCore::kick_fd(std::uint32_t index) const {
  return index < queues_.size() ? queues_[index].kick.fd() : -1;
}

void TransportCore::kick(std::uint32_t index) {
  // A device of another process has the descriptor, too.
  if (index < queues_.size()) (void)sys_util::signal_shared(queues_[index].kick.fd());
}

void TransportCore::interrupts_moved() {
  if (active_ && link_->gave_fds()) parts_.workers.move_interrupts();
}

std::size_t TransportCore::config_bytes() const { return link_->config_bytes(); }

void TransportCore::read_config(std::uint64_t offset, std::span<std::byte> data) {
  link_->read_config(offset, data);
}

void TransportCore::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  link_->write_config(offset, data);
}

std::uint32_t TransportCore::config_generation() { return link_->generation(); }

}  // namespace vmm::virtio_device
