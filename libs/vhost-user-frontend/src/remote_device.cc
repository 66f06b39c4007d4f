// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user_frontend/remote_device.h"

#include <algorithm>
#include <utility>

#include "remote_core.h"
#include "remote_worker.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::vhost_user_frontend {

RemoteDevice::RemoteDevice(std::shared_ptr<Core> core) : core_(std::move(core)) {}
RemoteDevice::~RemoteDevice() = default;

Result<std::shared_ptr<RemoteDevice>> RemoteDevice::create(RemoteOptions options, Connect connect) {
  auto core = std::make_shared<Core>(std::move(options), std::move(connect));
  VMM_TRY_DO(core->connect());
  return std::shared_ptr<RemoteDevice>(new RemoteDevice(std::move(core)));
}

virtio_device::DeviceType RemoteDevice::type() const { return core_->options().type; }

std::span<const std::uint16_t> RemoteDevice::queue_sizes() const {
  return core_->options().queue_sizes;
}

std::uint64_t RemoteDevice::features() const {
  const std::uint64_t seen = core_->offered() & core_->options().features;
  return (seen | core_->options().own_features) & virtio_device::kDeviceFeatures;
}

std::uint64_t RemoteDevice::ring_features() const {
  return core_->offered() & virtio_device::TransportCore::kQueueFeatures;
}

std::size_t RemoteDevice::config_bytes() const { return core_->options().config.size(); }

void RemoteDevice::read_config(std::span<std::byte> config) { core_->read_config(config); }

void RemoteDevice::write_config(std::uint64_t offset, std::span<const std::byte> data) {
  core_->write_config(offset, data);
}

Result<virtio_device::WorkerList> RemoteDevice::activate(virtio_device::Activation activation) {
  virtio_device::WorkerList workers;
  std::unique_ptr<virtio_device::Worker> own;
  if (OwnQueue* const owner = core_->options().own_queue.get(); owner != nullptr) {
    core_->set_enabled(owner->enabled_at_start(activation.features));
    virtio_device::Activation rest{.memory = activation.memory,
                                   .features = activation.features,
                                   .queues = {},
                                   .interrupt = activation.interrupt};
    const std::uint16_t index = owner->index(activation.features);
    auto& queues = activation.queues;  // ascending
    const auto first = std::ranges::find_if(
        queues, [&](const virtio_device::ActiveQueue& queue) { return queue.index >= index; });
    if (first != queues.end() && first->index == index) {
      rest.queues.push_back(std::move(*first));
      own = owner->make_worker(std::move(rest));
    }
    queues.erase(first, queues.end());
  }
  workers.push_back(std::make_unique<RemoteWorker>(core_, std::move(activation)));
  if (own != nullptr) workers.push_back(std::move(own));
  return workers;
}

Result<void> RemoteDevice::enable_queues(std::uint16_t count) {
  return core_->enable_queues(count);
}

Result<void> RemoteDevice::memory_changed(const vm_memory::GuestMemory& memory) {
  return core_->memory_changed(memory);
}

void RemoteDevice::reset() { core_->forget(); }

virtio_device::SharedMemoryOwner* RemoteDevice::shared_memory_owner() {
  return core_->window() != nullptr ? this : nullptr;
}

virtio_device::SharedMemoryRegion RemoteDevice::shared_memory() const {
  return {.id = core_->options().window->id, .bytes = core_->window()->bytes().size()};
}

Result<void> RemoteDevice::place_shared_memory(const GuestAddress* address) {
  return core_->options().window->slot->show(core_->window()->bytes(), address);
}

}  // namespace vmm::vhost_user_frontend
