// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The untyped half of bus.h; nothing here is meant for users.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/bus_error.h"

namespace vmm::vm_device::detail {

struct NewRange {
  std::uint64_t base;
  std::uint64_t size;
  std::shared_ptr<BusDevice> device;
};

/// One registered range. The device is owned by BusCore, not by the table: a reader uses the
/// pointer only while its slot says so, and remove() waits for that.
struct Entry {
  std::uint64_t base;
  std::uint64_t last;
  std::uint64_t id;  // unique per registration, never 0
  BusDevice* device;
};

/// An immutable map of the address space; readers hold it through their slot.
struct Table {
  std::uint64_t generation = 0;
  std::vector<std::uint64_t> bases;  // sorted; entries[i] starts at bases[i]
  std::vector<Entry> entries;
};

/// What one caller is doing now. It is written by its caller alone and read by those who change
/// the bus.
struct alignas(64) Slot {
  std::atomic<const Table*> table{nullptr};  // in use; null between accesses
  std::atomic<std::uint64_t> calling{0};     // Entry::id while its device runs
  std::atomic<const void*> thread{nullptr};  // whose access this is
};

class BusCore {
 public:
  explicit BusCore(std::uint64_t last_address);
  ~BusCore();
  BusCore(const BusCore&) = delete;
  BusCore& operator=(const BusCore&) = delete;

  Result<void, BusError> add(std::vector<NewRange> ranges) VMM_EXCLUDES(mutex_);
  Result<std::shared_ptr<BusDevice>, BusError> remove(std::uint64_t address) VMM_EXCLUDES(mutex_);
  Result<void, BusError> move(std::uint64_t from, std::uint64_t to) VMM_EXCLUDES(mutex_);
  [[nodiscard]] std::size_t size() const VMM_EXCLUDES(mutex_);

  void attach(Slot& slot) VMM_EXCLUDES(mutex_);
  void detach(Slot& slot) VMM_EXCLUDES(mutex_);
  [[nodiscard]] const std::atomic<const Table*>& current() const { return current_; }

 private:
  void publish(std::unique_ptr<Table> next) VMM_REQUIRES(mutex_);
  void reclaim() VMM_REQUIRES(mutex_);
  [[nodiscard]] bool may_be_called(std::uint64_t id) const VMM_EXCLUDES(mutex_);

  const std::uint64_t last_address_;
  std::atomic<const Table*> current_{nullptr};
  mutable Mutex mutex_;
  std::unique_ptr<const Table> newest_ VMM_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<const Table>> retired_ VMM_GUARDED_BY(mutex_);
  std::map<std::uint64_t, std::shared_ptr<BusDevice>> owners_ VMM_GUARDED_BY(mutex_);  // by id
  std::vector<const Slot*> slots_ VMM_GUARDED_BY(mutex_);
  std::uint64_t next_id_ VMM_GUARDED_BY(mutex_) = 1;
};

class CallerCore {
 public:
  explicit CallerCore(BusCore& bus);
  ~CallerCore();
  CallerCore(const CallerCore&) = delete;
  CallerCore& operator=(const CallerCore&) = delete;

  Result<void, AccessError> read(std::uint64_t address, std::span<std::byte> data);
  Result<void, AccessError> write(std::uint64_t address, std::span<const std::byte> data);

 private:
  const Table& enter();
  void leave();
  Result<void, AccessError> find(std::uint64_t address, std::size_t size);
  template <class Call>
  Result<void, AccessError> access(std::uint64_t address, std::size_t size, Call&& call);
  [[nodiscard]] bool is_inside_access() const;
  [[gnu::cold]] Result<void, AccessError> read_nested(std::uint64_t address,
                                                      std::span<std::byte> data);
  [[gnu::cold]] Result<void, AccessError> write_nested(std::uint64_t address,
                                                       std::span<const std::byte> data);

  BusCore& bus_;
  Slot slot_;
  Entry hit_{};  // the last hit, valid while the table has this generation
  std::uint64_t hit_generation_ = 0;
};

}  // namespace vmm::vm_device::detail
