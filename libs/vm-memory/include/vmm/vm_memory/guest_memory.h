// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/memory_view.h"
#include "vmm/vm_memory/region.h"
#include "vmm/vm_memory/translation.h"

namespace vmm::vm_memory {

namespace detail {

/// Guards the pointer to the current map: held for a few instructions, so that what matters is the
/// cost of the uncontended case. Waiters sleep.
class VMM_CAPABILITY("mutex") SnapshotLock {
 public:
  void lock() VMM_ACQUIRE() {
    std::uint32_t expected = kFree;
    if (!state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) lock_slowly();
  }
  void unlock() VMM_RELEASE() {
    if (state_.exchange(kFree, std::memory_order_release) == kAwaited) state_.notify_one();
  }

 private:
  static constexpr std::uint32_t kFree = 0;
  static constexpr std::uint32_t kHeld = 1;
  static constexpr std::uint32_t kAwaited = 2;  ///< held, and somebody may be sleeping

  void lock_slowly();

  std::atomic<std::uint32_t> state_{kFree};
};

class VMM_SCOPED_CAPABILITY SnapshotGuard {
 public:
  explicit SnapshotGuard(SnapshotLock& lock) VMM_ACQUIRE(lock) : lock_(lock) { lock_.lock(); }
  ~SnapshotGuard() VMM_RELEASE() { lock_.unlock(); }
  SnapshotGuard(const SnapshotGuard&) = delete;
  SnapshotGuard& operator=(const SnapshotGuard&) = delete;

 private:
  SnapshotLock& lock_;
};

}  // namespace detail

/// A set of regions at one moment. Immutable: a change makes a new map, and whoever holds the old
/// one keeps its memory mapped.
class RegionMap {
 public:
  using Regions = std::vector<std::shared_ptr<const Region>>;  ///< none is nullptr

  /// Errors: kNoRegions, kUnsorted, kOverlap. Regions may touch.
  static Result<std::shared_ptr<const RegionMap>> create(Regions regions);
  /// No memory at all: where it comes later.
  static std::shared_ptr<const RegionMap> empty();
  /// Memory at the I/O addresses `spans`, ascending and disjoint, which are parts of the regions of
  /// `translation.physical`; writes are noted there. `translation.access` is parallel to them.
  static std::shared_ptr<const RegionMap> translated(std::vector<RegionSpan> spans,
                                                     Translation translation);

  /// The memory to access. Valid as long as this map.
  [[nodiscard]] MemoryView view() const { return MemoryView(std::span(spans_)); }
  /// Ascending; none when translated().
  [[nodiscard]] std::span<const std::shared_ptr<const Region>> regions() const { return regions_; }
  /// nullptr when addresses are guest-physical ones.
  [[nodiscard]] const Translation* translation() const { return translation_.get(); }
  /// The region that holds `address`, or nullptr; of a map that is not translated().
  [[nodiscard]] const Region* find(GuestAddress address) const;
  /// The sum of the regions' sizes; 0 for a translated() map, which has none.
  [[nodiscard]] std::uint64_t total_bytes() const;

  /// This map and one region more. Errors: kOverlap.
  [[nodiscard]] Result<std::shared_ptr<const RegionMap>> with(
      std::shared_ptr<const Region> region) const;
  /// This map without one region, which may leave it empty. Errors: kNotFound unless a region has
  /// exactly this base and size.
  [[nodiscard]] Result<std::shared_ptr<const RegionMap>> without(GuestAddress base,
                                                                 std::uint64_t bytes) const;

 private:
  explicit RegionMap(Regions regions);

  Regions regions_;
  std::vector<RegionSpan> spans_;  // parallel to regions_, where these are
  std::unique_ptr<const Translation> translation_;
};

/// Owns the RAM of a VM. A move-only handle; memory goes when the last snapshot does.
///
///   const RegionConfig ram{.base = GuestAddress(0), .bytes = 512 << 20};
///   VMM_TRY(GuestMemory memory, GuestMemory::create({&ram, 1}));
///   VMM_TRY_DO(memory.view().write(GuestAddress(0x1000), Le32(42)));
///
/// Thread-safety: snapshot() may be called from any thread at any time; plug(), unplug() and
/// replace() from any thread, one after the other. Moving the handle itself is not thread-safe.
class GuestMemory {
 public:
  /// `configs` ascend by base. Errors: as Region::create() and RegionMap::create().
  static Result<GuestMemory> create(std::span<const RegionConfig> configs);
  /// Owns a map that was made before, with RegionMap::empty() for example. Not nullptr.
  static GuestMemory adopt(std::shared_ptr<const RegionMap> map);

  /// The current regions; they stay mapped as long as the snapshot is held.
  [[nodiscard]] std::shared_ptr<const RegionMap> snapshot() const {
    const detail::SnapshotGuard guard(shared_->lock);
    return shared_->map;
  }
  /// A view of the current regions, valid until one of them is unplugged or replaced. For setup
  /// code and machines without memory hotplug; others access memory through a snapshot.
  [[nodiscard]] MemoryView view() const;

  /// Adds a region. Errors: as Region::create(); kOverlap.
  Result<void> plug(const RegionConfig& config);
  /// Removes a region for those who look from now on. Errors: kNotFound.
  Result<void> unplug(GuestAddress base, std::uint64_t bytes);
  /// Replaces all regions at once.
  void replace(std::shared_ptr<const RegionMap> map);

 private:
  friend class SnapshotReader;

  static constexpr std::uint64_t kNoGeneration = 0;

  struct Shared {
    mutable detail::SnapshotLock lock;
    std::shared_ptr<const RegionMap> map VMM_GUARDED_BY(lock);
    Mutex change;  // held by plug(), unplug() and replace(), before `lock`
    std::atomic<std::uint64_t> generation{kNoGeneration + 1};  // of `map`
  };

  explicit GuestMemory(std::shared_ptr<const RegionMap> map);
  void replace_locked(std::shared_ptr<const RegionMap> map);

  std::shared_ptr<Shared> shared_;
};

}  // namespace vmm::vm_memory
