// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_memory.h"

#include <algorithm>
#include <utility>

#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::vm_memory {

void detail::SnapshotLock::lock_slowly() {
  while (state_.exchange(kAwaited, std::memory_order_acquire) != kFree) state_.wait(kAwaited);
}

RegionMap::RegionMap(Regions regions) : regions_(std::move(regions)) {
  spans_.reserve(regions_.size());
  for (const auto& region : regions_) {
    spans_.push_back({region->base(), region->host(), region->dirty()});
  }
}

Result<std::shared_ptr<const RegionMap>> RegionMap::create(Regions regions) {
  if (regions.empty()) return fail(RegionError::kNoRegions);
  for (std::size_t i = 1; i < regions.size(); ++i) {
    if (regions[i]->base() <= regions[i - 1]->base()) {
      const bool same = regions[i]->base() == regions[i - 1]->base();
      return fail(same ? RegionError::kOverlap : RegionError::kUnsorted);
    }
    if (regions[i]->base() <= regions[i - 1]->last_address()) return fail(RegionError::kOverlap);
  }
  return std::shared_ptr<const RegionMap>(new RegionMap(std::move(regions)));
}

std::shared_ptr<const RegionMap> RegionMap::empty() {
  return std::shared_ptr<const RegionMap>(new RegionMap({}));
}

std::shared_ptr<const RegionMap> RegionMap::translated(std::vector<RegionSpan> spans,
                                                       Translation translation) {
  std::shared_ptr<RegionMap> map(new RegionMap({}));
  map->spans_ = std::move(spans);
  map->translation_ = std::make_unique<const Translation>(std::move(translation));
  return map;
}

const Region* RegionMap::find(GuestAddress address) const {
  if (translation_ != nullptr) return nullptr;
  const RegionSpan* const span = view().find_region(address);
  return span == nullptr ? nullptr : regions_[static_cast<std::size_t>(span - spans_.data())].get();
}

std::uint64_t RegionMap::total_bytes() const {
  std::uint64_t total = 0;
  for (const auto& region : regions_) total += region->bytes();
  return total;
}

Result<std::shared_ptr<const RegionMap>> RegionMap::with(
    std::shared_ptr<const Region> region) const {
  Regions regions = regions_;
  const auto at = std::ranges::upper_bound(regions, region->base(), {},
                                           [](const auto& other) { return other->base(); });
  regions.insert(at, std::move(region));
  return create(std::move(regions));
}

Result<std::shared_ptr<const RegionMap>> RegionMap::without(GuestAddress base,
                                                            std::uint64_t bytes) const {
  Regions regions = regions_;
  if (std::erase_if(regions, [&](const auto& region) {
        return region->base() == base && region->bytes() == bytes;
      }) == 0) {
    return fail(RegionError::kNotFound);
  }
  return std::shared_ptr<const RegionMap>(new RegionMap(std::move(regions)));
}

GuestMemory::GuestMemory(std::shared_ptr<const RegionMap> map)
    : shared_(std::make_shared<Shared>()) {
  const detail::SnapshotGuard guard(shared_->lock);
  shared_->map = std::move(map);
}

Result<GuestMemory> GuestMemory::create(std::span<const RegionConfig> configs) {
  RegionMap::Regions regions;
  regions.reserve(configs.size());
  for (const RegionConfig& config : configs) {
    VMM_TRY(auto region, Region::create(config));
    regions.push_back(std::move(region));
  }
  VMM_TRY(auto map, RegionMap::create(std::move(regions)));
  return adopt(std::move(map));
}

GuestMemory GuestMemory::adopt(std::shared_ptr<const RegionMap> map) {
  return GuestMemory(std::move(map));
}

void SnapshotReader::refresh() {
  std::shared_ptr<const RegionMap> map;
  {
    const detail::SnapshotGuard guard(shared_->lock);
    map = shared_->map;
    seen_ = shared_->generation.load(std::memory_order_relaxed);
  }
  map_ = std::move(map);  // the old one goes outside of the lock
}

MemoryView GuestMemory::view() const { return snapshot()->view(); }

Result<void> GuestMemory::plug(const RegionConfig& config) {
  VMM_TRY(auto region, Region::create(config));
  const MutexLock change(shared_->change);
  VMM_TRY(auto map, snapshot()->with(std::move(region)));
  replace_locked(std::move(map));
  return {};
}

Result<void> GuestMemory::unplug(GuestAddress base, std::uint64_t bytes) {
  const MutexLock change(shared_->change);
  VMM_TRY(auto map, snapshot()->without(base, bytes));
  replace_locked(std::move(map));
  return {};
}

void GuestMemory::replace(std::shared_ptr<const RegionMap> map) {
  const MutexLock change(shared_->change);
  replace_locked(std::move(map));
}

void GuestMemory::replace_locked(std::shared_ptr<const RegionMap> map) {
  {
    const detail::SnapshotGuard guard(shared_->lock);
    shared_->map.swap(map);
    // Release pairs with the acquire in SnapshotReader::current().
    shared_->generation.fetch_add(1, std::memory_order_release);
  }
  // The old map, and with it perhaps the memory, goes here, outside of the lock.
}

}  // namespace vmm::vm_memory
