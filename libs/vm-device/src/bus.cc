// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_device/bus.h"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "vmm/base/assert.h"

// How a reader and a remover agree (hazard pointers, one slot for each caller):
//
//   access                                    change
//   A1  slot.table = current   (seq_cst)      B1  current = next            (seq_cst)
//   A2  current == slot.table? (seq_cst)      B2  look at each slot.table   (seq_cst)
//       else start again                          wait while slot.calling is the removed id
//   A3  slot.calling = id      (release)      B3  free tables that no slot holds
//   A4  device->read or write
//   A5  slot.calling = 0       (release)
//   A6  slot.table = null      (release)
//
// A1/A2 and B1/B2 are store-then-load pairs in one total order: when the remover does not see the
// old table in a slot, that access has not passed A2 and will find the new table there. A5 and A6
// pair with the acquire side of B2: what the device did is finished before remove() returns.

namespace vmm::vm_device::detail {
namespace {

/// An address that differs between the threads that run at one time.
const void* thread_token() {
  static thread_local const char token = 0;
  return &token;
}

/// `entries` as a table, sorted; kOverlap when two of them share an address.
Result<std::unique_ptr<Table>, BusError> make_table(std::vector<Entry> entries) {
  std::ranges::sort(entries, {}, &Entry::base);
  const auto overlap = std::ranges::adjacent_find(
      entries, [](const Entry& a, const Entry& b) { return b.base <= a.last; });
  if (overlap != entries.end()) return fail(BusError::kOverlap);
  auto table = std::make_unique<Table>();
  table->bases.reserve(entries.size());
  for (const Entry& entry : entries) table->bases.push_back(entry.base);
  table->entries = std::move(entries);
  return table;
}

/// The entry whose range contains `address`, or null.
const Entry* containing(const Table& table, std::uint64_t address) {
  const auto above = std::ranges::upper_bound(table.bases, address);
  if (above == table.bases.begin()) return nullptr;
  const Entry& entry = table.entries[static_cast<std::size_t>(above - table.bases.begin()) - 1];
  return address <= entry.last ? &entry : nullptr;
}

/// The last address of a range. Errors: kEmptyRange, kOutOfSpace.
Result<std::uint64_t, BusError> last_of(std::uint64_t base, std::uint64_t size,
                                        std::uint64_t space_last) {
  if (size == 0) return fail(BusError::kEmptyRange);
  if (base > space_last || size - 1 > space_last - base) return fail(BusError::kOutOfSpace);
  return base + (size - 1);
}

[[gnu::cold]] void fill_with_ones(std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xff});
}

}  // namespace

BusCore::BusCore(std::uint64_t last_address) : last_address_(last_address) {
  const MutexLock lock(mutex_);
  publish(std::make_unique<Table>());
}

BusCore::~BusCore() {
  const MutexLock lock(mutex_);
  VMM_ASSERT_ALWAYS(slots_.empty());  // or a caller would outlive its bus
}

Result<void, BusError> BusCore::add(std::vector<NewRange> ranges) {
  const MutexLock lock(mutex_);
  std::vector<Entry> entries = newest_->entries;
  std::uint64_t id = next_id_;
  for (const NewRange& range : ranges) {
    if (range.device == nullptr) return fail(BusError::kNullDevice);
    VMM_TRY(const std::uint64_t last, last_of(range.base, range.size, last_address_));
    entries.push_back({.base = range.base, .last = last, .id = id++, .device = range.device.get()});
  }
  VMM_TRY(auto table, make_table(std::move(entries)));
  for (NewRange& range : ranges) owners_.emplace(next_id_++, std::move(range.device));
  publish(std::move(table));
  return {};
}

Result<std::shared_ptr<BusDevice>, BusError> BusCore::remove(std::uint64_t address) {
  std::shared_ptr<BusDevice> device;
  std::uint64_t id = 0;
  {
    const MutexLock lock(mutex_);
    const Entry* const found = containing(*newest_, address);
    if (found == nullptr) return fail(BusError::kNotFound);
    id = found->id;
    std::vector<Entry> entries = newest_->entries;
    std::erase_if(entries, [id](const Entry& entry) { return entry.id == id; });
    VMM_TRY(auto table, make_table(std::move(entries)));
    device = std::move(owners_.extract(id).mapped());
    publish(std::move(table));
  }
  // Without the lock: the access that is waited for may itself want to change the bus.
  for (int spins = 0; may_be_called(id); ++spins) {
    if (spins < 64) {
      std::this_thread::yield();
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  return device;
}

Result<void, BusError> BusCore::move(std::uint64_t from, std::uint64_t to) {
  const MutexLock lock(mutex_);
  std::vector<Entry> entries = newest_->entries;
  const auto found = std::ranges::find(entries, from, &Entry::base);
  if (found == entries.end()) return fail(BusError::kNotFound);
  const std::uint64_t length_less_one = found->last - found->base;
  if (to > last_address_ || length_less_one > last_address_ - to) {
    return fail(BusError::kOutOfSpace);
  }
  found->base = to;
  found->last = to + length_less_one;
  VMM_TRY(auto table, make_table(std::move(entries)));
  publish(std::move(table));
  return {};
}

std::size_t BusCore::size() const {
  const MutexLock lock(mutex_);
  return newest_->entries.size();
}

void BusCore::attach(Slot& slot) {
  const MutexLock lock(mutex_);
  slots_.push_back(&slot);
}

void BusCore::detach(Slot& slot) {
  const MutexLock lock(mutex_);
  std::erase(slots_, &slot);
}

void BusCore::publish(std::unique_ptr<Table> next) {
  next->generation = newest_ == nullptr ? 1 : newest_->generation + 1;
  current_.store(next.get(), std::memory_order_seq_cst);  // B1
  if (newest_ != nullptr) retired_.push_back(std::move(newest_));
  newest_ = std::move(next);
  reclaim();
}

void BusCore::reclaim() {
  std::erase_if(retired_, [this](const auto& table) VMM_REQUIRES(mutex_) {
    return std::ranges::none_of(slots_, [&table](const Slot* slot) {
      return slot->table.load(std::memory_order_seq_cst) == table.get();  // B2
    });
  });
}

bool BusCore::may_be_called(std::uint64_t id) const {
  const MutexLock lock(mutex_);
  return std::ranges::any_of(slots_, [this, id](const Slot* slot) VMM_REQUIRES(mutex_) {
    // The pointer is only compared: an access that has not passed A2 may show a freed table.
    const Table* const table = slot->table.load(std::memory_order_seq_cst);  // B2
    if (table == nullptr) return false;
    const std::uint64_t calling = slot->calling.load(std::memory_order_acquire);
    // Between A2 and A3, or behind A5, nobody knows yet which device it is or was.
    if (calling == 0) return table != newest_.get();
    return calling == id && slot->thread.load(std::memory_order_relaxed) != thread_token();
  });
}

CallerCore::CallerCore(BusCore& bus) : bus_(bus) { bus_.attach(slot_); }

CallerCore::~CallerCore() { bus_.detach(slot_); }

bool CallerCore::is_inside_access() const {
  return slot_.table.load(std::memory_order_relaxed) != nullptr;
}

const Table& CallerCore::enter() {
  const std::atomic<const Table*>& current = bus_.current();
  for (;;) {  // again only when the bus changed in between
    const Table* const table = current.load(std::memory_order_acquire);
    slot_.table.store(table, std::memory_order_seq_cst);  // A1
    if (current.load(std::memory_order_seq_cst) == table) [[likely]]
      return *table;  // A2
  }
}

void CallerCore::leave() {
  slot_.calling.store(0, std::memory_order_release);      // A5
  slot_.table.store(nullptr, std::memory_order_release);  // A6
}

/// Sets hit_ to the range for an access.
Result<void, AccessError> CallerCore::find(std::uint64_t address, std::size_t size) {
  const Table& table = enter();
  const bool same =
      hit_generation_ == table.generation && address >= hit_.base && address <= hit_.last;
  if (!same) {
    const Entry* const entry = containing(table, address);
    if (entry == nullptr) return fail(AccessError::kNoDevice);
    hit_ = *entry;
    hit_generation_ = table.generation;
  }
  if (size - 1 > hit_.last - address) return fail(AccessError::kCrossesEnd);
  return {};
}

template <class Call>
Result<void, AccessError> CallerCore::access(std::uint64_t address, std::size_t size, Call&& call) {
  if (size == 0) return fail(AccessError::kEmpty);
  const auto found = find(address, size);
  if (found.has_value()) [[likely]] {
    slot_.thread.store(thread_token(), std::memory_order_relaxed);
    slot_.calling.store(hit_.id, std::memory_order_release);  // A3
    call(*hit_.device, address - hit_.base);                  // A4
  }
  leave();
  return found;
}

Result<void, AccessError> CallerCore::read(std::uint64_t address, std::span<std::byte> data) {
  if (is_inside_access()) [[unlikely]]
    return read_nested(address, data);
  const auto done = access(address, data.size(), [data](BusDevice& device, std::uint64_t offset) {
    device.read(offset, data);
  });
  if (!done.has_value()) [[unlikely]]
    fill_with_ones(data);
  return done;
}

Result<void, AccessError> CallerCore::write(std::uint64_t address,
                                            std::span<const std::byte> data) {
  if (is_inside_access()) [[unlikely]]
    return write_nested(address, data);
  return access(address, data.size(),
                [data](BusDevice& device, std::uint64_t offset) { device.write(offset, data); });
}

// The slot still serves the outer access, so these bring another one.

Result<void, AccessError> CallerCore::read_nested(std::uint64_t address,
                                                  std::span<std::byte> data) {
  return CallerCore(bus_).read(address, data);
}

Result<void, AccessError> CallerCore::write_nested(std::uint64_t address,
                                                   std::span<const std::byte> data) {
  return CallerCore(bus_).write(address, data);
}

}  // namespace vmm::vm_device::detail
