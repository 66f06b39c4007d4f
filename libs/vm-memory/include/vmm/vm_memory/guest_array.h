// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "vmm/base/assert.h"
#include "vmm/base/checked.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::vm_memory {

/// Aligned scalars in guest memory, resolved once: an access costs an index check and one
/// instruction. For ring indices and tables. Borrows the memory as a GuestSlice does.
template <GuestScalar T>
class GuestArray {
 public:
  /// No elements.
  GuestArray() = default;
  /// The first `count` elements in `slice`. Errors: kMisaligned; kOutOfBounds when they do not
  /// fit; kOverflow when their size passes 2^64.
  static Result<GuestArray, MemoryError> create(const GuestSlice& slice, std::size_t count) {
    const auto bytes = checked_mul(count, sizeof(T));
    if (!bytes) return fail(MemoryError::kOverflow);
    if (*bytes > slice.size()) return fail(MemoryError::kOutOfBounds);
    if (!slice.is_aligned(sizeof(T))) return fail(MemoryError::kMisaligned);
    return GuestArray(slice, count);
  }

  [[nodiscard]] std::size_t size() const { return count_; }  ///< elements

  /// Precondition of both: index < size(); they trap otherwise.
  template <std::memory_order kOrder = std::memory_order_relaxed>
  [[nodiscard]] T load(std::size_t index) const {
    VMM_ASSERT_ALWAYS(index < count_);
    return std::bit_cast<T>(
        detail::load_word<sizeof(T), static_cast<int>(kOrder)>(host_ + index * sizeof(T)));
  }
  /// As load().
  template <std::memory_order kOrder = std::memory_order_relaxed>
  void store(std::size_t index, T value) const {
    VMM_ASSERT_ALWAYS(index < count_);
    using Word = typename detail::WordOf<sizeof(T)>::plain;
    detail::store_word<sizeof(T), static_cast<int>(kOrder)>(host_ + index * sizeof(T),
                                                            std::bit_cast<Word>(value));
    dirty_.mark(index * sizeof(T), sizeof(T));
  }

 private:
  GuestArray(const GuestSlice& slice, std::size_t count)
      : host_(static_cast<std::byte*>(slice.unsafe_iovec().base)),
        count_(count),
        dirty_(slice.dirty()) {}

  std::byte* host_ = nullptr;
  std::size_t count_ = 0;
  DirtyWindow dirty_;
};

}  // namespace vmm::vm_memory
