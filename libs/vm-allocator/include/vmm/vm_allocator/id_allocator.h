// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <concepts>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/vm_allocator/alloc_error.h"
#include "vmm/vm_allocator/lowest_set.h"

namespace vmm::vm_allocator {

/// Hands out numbers (interrupt lines, memory slots, device ids): freed ones first, lowest first,
/// then ones that were never used, in order.
///
/// Time: a handful of word operations; no allocation before the first free() or allocate_at().
/// Memory: one bit for each id up to the highest that was freed or passed over.
/// Thread-safety: none; the owner locks. State for a snapshot is the list of ids in use, restored
/// by allocate_at.
template <std::unsigned_integral Id = std::uint32_t>
class IdAllocator {
 public:
  /// The ids that there are.
  struct Range {
    Id first;  ///< lowest
    Id last;   ///< included
  };

  /// Errors: kBadRange when the first id is above the last.
  static Result<IdAllocator, AllocError> create(Range range) {
    if (range.first > range.last) return fail(AllocError::kBadRange);
    return IdAllocator(range);
  }

  /// Errors: kUnavailable when all ids are taken.
  Result<Id, AllocError> allocate() {
    if (!freed_.empty()) return id_at(freed_.take_lowest());
    if (used_up_) return fail(AllocError::kUnavailable);
    const Id id = id_at(next_);
    use_next();
    return id;
  }

  /// How many ids one allocate_at() passes over at most.
  static constexpr std::uint64_t kMaxPassedOver = std::uint64_t{1} << 24;
  /// This id. Ids below it that were never used come next, as if they had been freed.
  /// Errors: kOutOfRange; kUnavailable for one that is taken, or too far above those that were
  /// used; nothing has changed then.
  Result<Id, AllocError> allocate_at(Id id) {
    if (id < range_.first || id > range_.last) return fail(AllocError::kOutOfRange);
    const std::uint64_t offset = offset_of(id);
    if (was_allocated(id)) {
      if (!freed_.contains(offset)) return fail(AllocError::kUnavailable);
      freed_.erase(offset);
      return id;
    }
    if (offset - next_ > kMaxPassedOver) return fail(AllocError::kUnavailable);
    while (next_ != offset) freed_.insert(next_++);
    use_next();
    return id;
  }
  /// Errors: kOutOfRange, kNeverAllocated, kAlreadyFree; nothing has changed then.
  Result<void, AllocError> free(Id id) {
    if (id < range_.first || id > range_.last) return fail(AllocError::kOutOfRange);
    if (!was_allocated(id)) return fail(AllocError::kNeverAllocated);
    if (freed_.contains(offset_of(id))) return fail(AllocError::kAlreadyFree);
    freed_.insert(offset_of(id));
    return {};
  }

  /// Whether the id is handed out now; false for ids outside the range.
  [[nodiscard]] bool is_allocated(Id id) const {
    return id >= range_.first && id <= range_.last && was_allocated(id) &&
           !freed_.contains(offset_of(id));
  }

  /// What create() was given.
  [[nodiscard]] Range range() const { return range_; }

 private:
  explicit IdAllocator(Range range) : range_(range) {}

  [[nodiscard]] Id id_at(std::uint64_t offset) const {
    return static_cast<Id>(range_.first + offset);
  }
  [[nodiscard]] std::uint64_t offset_of(Id id) const {
    return std::uint64_t{id} - std::uint64_t{range_.first};
  }
  void use_next() {
    if (id_at(next_) == range_.last) {
      used_up_ = true;
    } else {
      ++next_;
    }
  }
  [[nodiscard]] bool was_allocated(Id id) const { return used_up_ || offset_of(id) < next_; }

  Range range_;
  std::uint64_t next_ = 0;  // the offset of the lowest id that was never handed out
  bool used_up_ = false;    // there is no such id
  detail::LowestSet freed_;
};

}  // namespace vmm::vm_allocator
