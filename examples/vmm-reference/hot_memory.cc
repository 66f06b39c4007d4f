// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "hot_memory.h"

#include <algorithm>

#include "boot.h"
#include "machine.h"
#include "opener.h"
#include "vmm/vm_memory/discard.h"

namespace vmm::reference {
namespace {

constexpr GuestAddress kLowest{std::uint64_t{4} << 30};
/// What Linux adds and takes away memory by.
constexpr std::uint64_t kAlignment = std::uint64_t{128} << 20;

}  // namespace

/// What is not plugged is not taken from the host; what is unplugged goes back to it.
class HotMemory::Blocks final : public virtio_mem::MemoryBlocks {
 public:
  void use(std::shared_ptr<const vm_memory::Region> region) {
    const MutexLock lock(mutex_);
    region_ = std::move(region);
  }
  Result<void> plug(const AddressRange&) override { return {}; }
  Result<void> unplug(const AddressRange& range) override {
    const MutexLock lock(mutex_);
    if (region_ == nullptr) return {};
    return vm_memory::discard(
        *region_, {.offset = range.base.raw() - region_->base().raw(), .bytes = range.size});
  }

 private:
  Mutex mutex_;
  std::shared_ptr<const vm_memory::Region> region_ VMM_GUARDED_BY(mutex_);
};

HotMemory::HotMemory(const MemoryConfig& config, const AddressRange& range)
    : config_(config), range_(range), blocks_(std::make_shared<Blocks>()) {}

Outcome<std::unique_ptr<HotMemory>> HotMemory::create(const VmConfig& config) {
  const MemoryConfig& memory = config.memory;
  if (memory.hotplug_size == 0) return std::unique_ptr<HotMemory>();
  VMM_TRY(const GuestAddress ram, ram_end(config));
  const auto base = std::max(ram, kLowest).align_up(kAlignment);
  if (!base || !base->checked_add(memory.hotplug_size)) {
    return fail(runtime("--memory: hotplug_size: there are not that many addresses"));
  }
  std::unique_ptr<HotMemory> hot(new HotMemory(memory, {*base, memory.hotplug_size}));
  VMM_STEP("--memory: hotplug_size", hot->device_,
           virtio_mem::Mem::create({.region = hot->range_,
                                    .block_bytes = memory.hot_block_bytes(),
                                    .requested = memory.hotplugged_size,
                                    .blocks = hot->blocks_}));
  return hot;
}

Outcome<void> HotMemory::map(vm_memory::GuestMemory& memory, kvm_board::MappedMemory& mapped) {
  release();
  VMM_TRY_DO(opening([&]() -> Outcome<void> {
    vm_memory::RegionConfig region = region_config(config_, {range_.base, range_.end()});
    region.prefault = vm_memory::Prefault::kNone;
    region.reserve = false;
    VMM_STEP_DO("--memory: hotplug_size", memory.plug(region));
    return {};
  }));
  const auto map = memory.snapshot();
  const auto found =
      std::ranges::find(map->regions(), range_.base, [](const auto& r) { return r->base(); });
  VMM_STEP_DO("--memory: hotplug_size", mapped.add(*found));
  blocks_->use(*found);
  return {};
}

// Without a region there is nothing to give back, so this cannot fail.
void HotMemory::release() {
  blocks_->use(nullptr);
  (void)device_->unplug_all().has_value();
}

}  // namespace vmm::reference
