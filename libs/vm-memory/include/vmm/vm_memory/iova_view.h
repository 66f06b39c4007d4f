// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/iova.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/dirty_bitmap.h"
#include "vmm/vm_memory/guest_slice.h"
#include "vmm/vm_memory/memory_view.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::vm_memory {

class IovaWalk;

/// Guest memory as a device sees it: through a Translator, or directly when there is none (then an
/// I/O address is a guest-physical one). A value that borrows all of its parts.
///
/// Each access is checked as a whole first; when a mapping goes away at that very moment, it fails
/// in the middle. Writes through a translator mark `dirty` at I/O addresses, and not the bitmaps of
/// the regions; without a translator those of the regions.
///
/// Errors of all accesses: kNotTranslated, kNoPermission, kOverflow; kUnmapped or kPartial when a
/// mapping leads to what is not RAM.
///
/// Thread-safety: any number of threads.
class IovaView {
 public:
  /// I/O addresses are guest-physical addresses.
  explicit IovaView(MemoryView memory) : memory_(memory) {}
  /// `dirty` is indexed by I/O address; it may be nullptr.
  IovaView(MemoryView memory, Translator& translator, DirtyBitmap* dirty = nullptr)
      : memory_(memory), translator_(&translator), dirty_(dirty) {}

  /// The memory where no translation stands before it; else nullopt.
  [[nodiscard]] std::optional<MemoryView> physical() const {
    if (translator_ != nullptr) return std::nullopt;
    return memory_;
  }

  /// Whether the access is allowed for all of the range. One of 0 bytes always is.
  [[nodiscard]] Result<void, MemoryError> check(Iova iova, std::uint64_t bytes,
                                                Access access) const;
  /// check() without the reason.
  [[nodiscard]] bool check_range(Iova iova, std::uint64_t bytes, Access access) const {
    return check(iova, bytes, access).has_value();
  }
  /// The pieces of a range, one per mapping and region; see IovaWalk.
  [[nodiscard]] IovaWalk slices(Iova iova, std::uint64_t bytes, Access access) const;

  ///@{
  /// Copies all of the span, over mappings and regions. Errors: see above.
  Result<void, MemoryError> read_bytes(Iova iova, std::span<std::byte> to) const;
  Result<void, MemoryError> write_bytes(Iova iova, std::span<const std::byte> from) const;
  ///@}

  ///@{
  /// Copies an object, as read_bytes() and write_bytes() do.
  template <GuestValue T>
  [[nodiscard]] Result<T, MemoryError> read(Iova iova) const {
    T value;
    VMM_TRY_DO(read_bytes(iova, {reinterpret_cast<std::byte*>(&value), sizeof(T)}));
    return value;
  }
  template <GuestValue T>
  Result<void, MemoryError> write(Iova iova, const T& value) const {
    return write_bytes(iova, std::as_bytes(std::span(&value, 1)));
  }
  ///@}
  /// One atomic load. Errors: kMisaligned; kNotContiguous when its bytes are not together.
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_seq_cst>
  [[nodiscard]] Result<T, MemoryError> load(Iova iova) const {
    VMM_TRY(const GuestSlice word, scalar(iova, sizeof(T), Access::kRead));
    return word.load<T, kOrder>();
  }
  /// One atomic store. Errors: as load().
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_seq_cst>
  Result<void, MemoryError> store(Iova iova, T value) const {
    VMM_TRY(const GuestSlice word, scalar(iova, sizeof(T), Access::kWrite));
    word.store<T, kOrder>(value);
    return {};
  }

 private:
  friend class IovaWalk;
  /// The first piece of the range.
  [[nodiscard]] Result<GuestSlice, MemoryError> first(Iova iova, std::uint64_t bytes,
                                                      Access access) const;
  [[nodiscard]] Result<GuestSlice, MemoryError> scalar(Iova iova, std::size_t bytes,
                                                       Access access) const;

  MemoryView memory_;
  Translator* translator_ = nullptr;
  DirtyBitmap* dirty_ = nullptr;
};

/// Yields the slices of a range of I/O addresses, as SliceWalk does for guest addresses. It ends
/// with the first error.
class IovaWalk {
 public:
  /// `memory` is copied; what it borrows outlives the walk. Nothing is checked before next().
  IovaWalk(const IovaView& memory, Iova iova, std::uint64_t bytes, Access access)
      : memory_(memory), next_(iova), left_(bytes), access_(access) {}

  /// Whether all bytes were given, or next() has failed.
  [[nodiscard]] bool done() const { return left_ == 0; }
  /// Precondition: !done().
  [[nodiscard]] Result<GuestSlice, MemoryError> next();

 private:
  IovaView memory_;
  Iova next_;
  std::uint64_t left_;
  Access access_;
};

inline IovaWalk IovaView::slices(Iova iova, std::uint64_t bytes, Access access) const {
  return {*this, iova, bytes, access};
}

}  // namespace vmm::vm_memory
