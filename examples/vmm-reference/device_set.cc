// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_set.h"

#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_rng/rng.h"

namespace vmm::reference {

std::unique_ptr<virtio_device::Workers> DeviceSlot::workers() const {
  std::vector<event_manager::EventLoop*> loops;
  for (const auto& thread : threads) loops.push_back(&thread->loop());
  return std::make_unique<virtio_device::LoopWorkers>(std::move(loops));
}

std::uint64_t DeviceSlot::queue_features() const {
  std::uint64_t features = virtio_queue::kFeatureIndirect;
  if (config.event_idx) features |= virtio_queue::kFeatureEventIdx;
  if (config.packed) features |= virtio_queue::kFeaturePacked;
  return features;
}

Outcome<DeviceSet> DeviceSet::create(const VmConfig& config) {
  DeviceSet set;
  if (config.rng) VMM_TRY_DO(set.add_rng(*config.rng));
  return set;
}

Outcome<void> DeviceSet::add(std::string id, const DeviceConfig& config,
                             std::shared_ptr<virtio_device::VirtioDevice> device,
                             const std::vector<std::vector<std::uint64_t>>& queue_cpus) {
  DeviceSlot slot{
      .id = std::move(id), .config = config, .device = std::move(device), .threads = {}};
  for (std::size_t i = 0; i < queue_cpus.size(); ++i) {
    const std::string name = queue_cpus.size() == 1 ? slot.id : slot.id + "_q" + std::to_string(i);
    VMM_TRY(auto thread, IoThread::create(name, queue_cpus[i]));
    slot.threads.push_back(std::move(thread));
  }
  slots_.push_back(std::move(slot));
  return {};
}

std::string DeviceSet::id_or(const DeviceConfig& config, const char* kind) {
  if (!config.id.empty()) return config.id;
  return std::string("_") + kind + std::to_string(next_id_++);
}

Outcome<void> DeviceSet::add_rng(const RngConfig& config) {
  VMM_STEP("--rng: " + config.source, auto rng, virtio_rng::Rng::open(config.source));
  return add(config.device.id.empty() ? "__rng" : config.device.id, config.device, std::move(rng));
}

}  // namespace vmm::reference
