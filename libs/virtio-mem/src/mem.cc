// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_mem/mem.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "mem_worker.h"
#include "region_state.h"
#include "vmm/base/checked.h"

namespace vmm::virtio_mem {
namespace {

bool is_valid(const Mem::Options& options) {
  const std::uint64_t block = options.block_bytes;
  return options.blocks != nullptr && is_power_of_two(block) && block >= Mem::kMinBlockBytes &&
         options.region.base.is_aligned(block) && options.region.size % block == 0 &&
         options.region.base.checked_add(options.region.size).has_value() &&
         options.region.size / block <= Mem::kMaxBlocks && options.requested % block == 0 &&
         options.requested <= options.region.size;
}

}  // namespace

Mem::Mem(std::shared_ptr<RegionState> state) : state_(std::move(state)) {}

Mem::~Mem() = default;

Result<std::shared_ptr<Mem>> Mem::create(Options options) {
  if (!is_valid(options)) return fail(Error::os(EINVAL, "memory device"));
  return std::shared_ptr<Mem>(new Mem(std::make_shared<RegionState>(std::move(options))));
}

Result<void> Mem::set_requested(std::uint64_t bytes) { return state_->set_requested(bytes); }

std::uint64_t Mem::requested() const { return state_->config().requested_size.get(); }

std::uint64_t Mem::plugged() const { return state_->config().plugged_size.get(); }

std::uint64_t Mem::usable() const { return state_->config().usable_region_size.get(); }

Result<void> Mem::unplug_all() { return state_->unplug_all(); }

std::uint64_t Mem::features() const {
  return kFeatureUnpluggedInaccessible | virtio_queue::kFeatureInOrder |
         virtio_queue::kFeatureRingReset | (state_->options().node ? kFeatureAcpiPxm : 0);
}

std::size_t Mem::config_bytes() const { return sizeof(Config); }

void Mem::read_config(std::span<std::byte> config) {
  const Config fields = state_->config();
  std::memcpy(config.data(), &fields, std::min(sizeof(fields), config.size()));
}

bool Mem::accepts(std::uint64_t features) const {
  return (features & kFeatureUnpluggedInaccessible) != 0;
}

Result<virtio_device::WorkerList> Mem::activate(virtio_device::Activation activation) {
  if (!accepts(activation.features)) {
    return fail(Error::os(EOPNOTSUPP, "memory device: driver"));
  }
  state_->attach(activation.interrupt);
  virtio_device::WorkerList workers;
  workers.push_back(std::make_unique<MemWorker>(state_, std::move(activation)));
  return workers;
}

void Mem::reset() { state_->attach(nullptr); }

}  // namespace vmm::virtio_mem
