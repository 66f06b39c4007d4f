// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "region_state.h"

#include <algorithm>
#include <cerrno>

#include "vmm/base/checked.h"

namespace vmm::virtio_mem {

Mem::RegionState::RegionState(Options options)
    : options_(std::move(options)),
      map_(options_.region.size / options_.block_bytes),
      requested_(options_.requested),
      usable_(usable_for(options_.requested)) {}

// Whole blocks, none where none are wanted.
std::uint64_t Mem::RegionState::usable_for(std::uint64_t requested) const {
  if (requested == 0) return 0;
  const std::uint64_t headroom = align_down(options_.headroom, options_.block_bytes);
  return requested + std::min(headroom, options_.region.size - requested);
}

Config Mem::RegionState::config() const {
  Config config{};
  config.block_size = Le64(options_.block_bytes);
  config.node_id = Le16(options_.node.value_or(0));
  config.addr = Le64(options_.region.base.raw());
  config.region_size = Le64(options_.region.size);
  const MutexLock lock(mutex_);
  config.usable_region_size = Le64(usable_);
  config.plugged_size = Le64(plugged_);
  config.requested_size = Le64(requested_);
  return config;
}

void Mem::RegionState::attach(std::shared_ptr<virtio_device::Interrupt> interrupt) {
  const MutexLock lock(mutex_);
  interrupt_ = std::move(interrupt);
}

// The usable region shrinks with UNPLUG ALL only: 5.15.4.2.
Result<void> Mem::RegionState::set_requested(std::uint64_t bytes) {
  if (bytes > options_.region.size || bytes % options_.block_bytes != 0) {
    return fail(Error::os(EINVAL, "memory device: requested size"));
  }
  std::shared_ptr<virtio_device::Interrupt> interrupt;
  {
    const MutexLock lock(mutex_);
    requested_ = bytes;
    usable_ = std::max(usable_, usable_for(bytes));
    interrupt = interrupt_;
  }
  if (interrupt != nullptr) interrupt->config_changed();
  return {};
}

Result<void> Mem::RegionState::unplug_all() {
  const MutexLock change(change_);
  return take_all();
}

Result<void> Mem::RegionState::take_all() {
  std::uint64_t bytes = 0;
  {
    const MutexLock lock(mutex_);
    bytes = plugged_ == 0 ? 0 : usable_;
  }
  if (bytes != 0) VMM_TRY_DO(options_.blocks->unplug({options_.region.base, bytes}));
  map_.clear();
  const MutexLock lock(mutex_);
  plugged_ = 0;
  usable_ = usable_for(requested_);
  return {};
}

// nullopt for what 5.15.6.1.2 and the like say is an error.
std::optional<BlockMap::Run> Mem::RegionState::checked_run(const Request& request) const {
  const auto offset = GuestAddress(request.addr.get()).offset_from(options_.region.base);
  if (!offset || *offset % options_.block_bytes != 0 || request.nb_blocks.get() == 0) {
    return std::nullopt;
  }
  const BlockMap::Run run{.first = *offset / options_.block_bytes,
                          .count = request.nb_blocks.get()};
  const MutexLock lock(mutex_);
  if (!fits(run.first, run.count, usable_ / options_.block_bytes)) return std::nullopt;
  return run;
}

AddressRange Mem::RegionState::range_of(const BlockMap::Run& run) const {
  return {GuestAddress(options_.region.base.raw() + run.first * options_.block_bytes),
          run.count * options_.block_bytes};
}

ResponseType Mem::RegionState::plug(const BlockMap::Run& run) {
  if (map_.count(run) != 0) return ResponseType::kError;
  const AddressRange range = range_of(run);
  {
    const MutexLock lock(mutex_);
    if (!fits(plugged_, range.size, requested_)) return ResponseType::kNack;
  }
  if (!options_.blocks->plug(range)) return ResponseType::kBusy;
  map_.set(run, true);
  const MutexLock lock(mutex_);
  plugged_ += range.size;
  return ResponseType::kAck;
}

ResponseType Mem::RegionState::unplug(const BlockMap::Run& run) {
  if (map_.count(run) != run.count) return ResponseType::kError;
  const AddressRange range = range_of(run);
  if (!options_.blocks->unplug(range)) return ResponseType::kBusy;
  map_.set(run, false);
  const MutexLock lock(mutex_);
  plugged_ -= range.size;
  return ResponseType::kAck;
}

BlockState Mem::RegionState::state_of(const BlockMap::Run& run) const {
  const std::uint64_t plugged = map_.count(run);
  if (plugged == run.count) return BlockState::kPlugged;
  return plugged == 0 ? BlockState::kUnplugged : BlockState::kMixed;
}

Response Mem::RegionState::execute(const Request& request) {
  const auto answer = [](ResponseType type, BlockState state = {}) {
    Response response{};
    response.type = Le16(static_cast<std::uint16_t>(type));
    response.state = Le16(static_cast<std::uint16_t>(state));
    return response;
  };
  const MutexLock change(change_);
  const auto type = static_cast<RequestType>(request.type.get());
  if (type == RequestType::kUnplugAll) {
    return answer(take_all() ? ResponseType::kAck : ResponseType::kBusy);
  }
  const auto run = checked_run(request);
  if (!run) return answer(ResponseType::kError);
  switch (type) {
    case RequestType::kPlug:
      return answer(plug(*run));
    case RequestType::kUnplug:
      return answer(unplug(*run));
    case RequestType::kState:
      return answer(ResponseType::kAck, state_of(*run));
    case RequestType::kUnplugAll:
      break;
  }
  return answer(ResponseType::kError);
}

}  // namespace vmm::virtio_mem
