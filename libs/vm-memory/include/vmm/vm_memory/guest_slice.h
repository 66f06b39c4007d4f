// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "vmm/base/assert.h"
#include "vmm/base/checked.h"
#include "vmm/base/io_vec.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/dirty_bitmap.h"
#include "vmm/vm_memory/guest_access.h"
#include "vmm/vm_memory/memory_error.h"

namespace vmm::vm_memory {

/// Where guest bytes are in host memory, for system calls.
using vmm::IoVec;

/// A checked, contiguous piece of guest memory. A value of four words that borrows the memory: it
/// is valid as long as the region (usually: the snapshot it came from) is.
///
/// There is no operator[] and no pointer: the guest changes these bytes at any time, so they are
/// copied once and the copy is what is checked and used. Every write marks the dirty bitmap, when
/// there is one. Fields of 1, 2, 4 and 8 bytes that are aligned to their size are never torn by
/// load, store, read, write, the typed copies, and byte copies of up to 256 bytes.
///
/// Thread-safety: any number of threads; concurrent accesses see old or new bytes.
class GuestSlice {
 public:
  /// An empty slice.
  GuestSlice() = default;
  /// Precondition: `host` is memory that outlives the slice.
  explicit GuestSlice(std::span<std::byte> host, DirtyWindow dirty = {})
      : host_(host.data()), size_(host.size()), dirty_(dirty) {}

  [[nodiscard]] std::size_t size() const { return size_; }  ///< bytes
  /// Whether it is of 0 bytes.
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// Whether the byte at `offset` may start an atomic access of `bytes` bytes (a power of two).
  [[nodiscard]] bool is_aligned(std::size_t bytes, std::size_t offset = 0) const {
    return ((reinterpret_cast<std::uintptr_t>(host_) + offset) & (bytes - 1)) == 0;
  }

  /// One atomic load. Precondition: inside the slice and aligned (it traps otherwise); where the
  /// offset comes from the guest, use GuestArray or MemoryView::load(), which answer with an error.
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_relaxed>
  [[nodiscard]] T load(std::size_t offset = 0) const {
    VMM_ASSERT_ALWAYS(fits(offset, sizeof(T), size_) && is_aligned(sizeof(T), offset));
    return std::bit_cast<T>(detail::load_word<sizeof(T), static_cast<int>(kOrder)>(host_ + offset));
  }
  /// One atomic store. Precondition: as load().
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_relaxed>
  void store(T value, std::size_t offset = 0) const {
    VMM_ASSERT_ALWAYS(fits(offset, sizeof(T), size_) && is_aligned(sizeof(T), offset));
    using Word = typename detail::WordOf<sizeof(T)>::plain;
    detail::store_word<sizeof(T), static_cast<int>(kOrder)>(host_ + offset,
                                                            std::bit_cast<Word>(value));
    dirty_.mark(offset, sizeof(T));
  }

  /// A private copy of the object at `offset`, at any alignment. Errors: kOutOfBounds.
  template <GuestValue T>
  [[nodiscard]] Result<T, MemoryError> read(std::size_t offset = 0) const {
    if (!fits(offset, sizeof(T), size_)) [[unlikely]]
      return fail(MemoryError::kOutOfBounds);
    return detail::read_object<T>(host_ + offset);
  }
  /// Errors: kOutOfBounds, and then nothing is written.
  template <GuestValue T>
  Result<void, MemoryError> write(const T& value, std::size_t offset = 0) const {
    if (!fits(offset, sizeof(T), size_)) [[unlikely]]
      return fail(MemoryError::kOutOfBounds);
    detail::write_object(host_ + offset, value);
    dirty_.mark(offset, sizeof(T));
    return {};
  }

  /// Copies min(size(), to.size()) bytes out, and says how many.
  std::size_t copy_to(std::span<std::byte> to) const {
    const std::size_t n = std::min(size_, to.size());
    detail::copy_out(to.data(), host_, n);
    return n;
  }
  /// Copies min(size(), from.size()) bytes in, and says how many.
  std::size_t copy_from(std::span<const std::byte> from) const {
    const std::size_t n = std::min(size_, from.size());
    detail::copy_in(host_, from.data(), n);
    dirty_.mark(0, n);
    return n;
  }
  /// Copies as many whole elements as fit on both sides, and says how many. Elements are not torn
  /// (nor their fields, if they have some) where they are aligned in the guest.
  template <GuestValue T>
    requires(sizeof(T) > 1)
  std::size_t copy_to(std::span<T> to) const {
    const std::size_t n = std::min(size_ / sizeof(T), to.size());
    detail::copy_out_fields(std::as_writable_bytes(to).data(), host_, n * sizeof(T));
    return n;
  }
  /// As copy_to() of elements, into the slice.
  template <GuestValue T>
    requires(sizeof(T) > 1)
  std::size_t copy_from(std::span<const T> from) const {
    const std::size_t n = std::min(size_ / sizeof(T), from.size());
    detail::copy_in_fields(host_, std::as_bytes(from).data(), n * sizeof(T));
    dirty_.mark(0, n * sizeof(T));
    return n;
  }
  /// Copies min(size(), to.size()) bytes to another slice, which may overlap this one.
  std::size_t copy_to(const GuestSlice& to) const {
    const std::size_t n = std::min(size_, to.size_);
    detail::copy_within(to.host_, host_, n);
    to.dirty_.mark(0, n);
    return n;
  }
  /// Sets all bytes to `value`.
  void fill(std::byte value) const {
    detail::fill(host_, value, size_);
    dirty_.mark(0, size_);
  }

  /// [offset, offset + bytes) of this slice. Errors: kOverflow, kOutOfBounds.
  [[nodiscard]] Result<GuestSlice, MemoryError> subslice(std::size_t offset,
                                                         std::size_t bytes) const {
    if (!fits(offset, bytes, size_)) [[unlikely]] {
      return fail(checked_add(offset, bytes) ? MemoryError::kOutOfBounds : MemoryError::kOverflow);
    }
    return GuestSlice({host_ + offset, bytes}, {dirty_.bitmap, dirty_.offset + offset});
  }
  /// From `offset` to the end. Errors: kOutOfBounds.
  [[nodiscard]] Result<GuestSlice, MemoryError> subslice(std::size_t offset) const {
    if (offset > size_) [[unlikely]]
      return fail(MemoryError::kOutOfBounds);
    return subslice(offset, size_ - offset);
  }
  /// The first `offset` bytes, and the others. Errors: kOutOfBounds.
  [[nodiscard]] Result<std::pair<GuestSlice, GuestSlice>, MemoryError> split_at(
      std::size_t offset) const {
    VMM_TRY(const GuestSlice tail, subslice(offset));
    return std::pair(GuestSlice({host_, offset}, dirty_), tail);
  }

  /// The host address, for a system call that moves the bytes (readv, io_uring). Whoever lets
  /// something write through it must call mark_dirty() afterwards; nobody may dereference it.
  [[nodiscard]] IoVec unsafe_iovec() const { return {host_, size_}; }
  /// Marks [offset, offset + bytes), clipped to the slice, as written.
  void mark_dirty(std::size_t offset, std::size_t bytes) const {
    if (offset < size_) dirty_.mark(offset, std::min(bytes, size_ - offset));
  }
  /// Where writes are noted: the slice's first byte in a bitmap.
  [[nodiscard]] DirtyWindow dirty() const { return dirty_; }

 private:
  std::byte* host_ = nullptr;
  std::size_t size_ = 0;
  DirtyWindow dirty_;
};

}  // namespace vmm::vm_memory
