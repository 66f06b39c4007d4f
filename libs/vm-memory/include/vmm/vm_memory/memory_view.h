// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/guest_slice.h"
#include "vmm/vm_memory/memory_error.h"

namespace vmm::vm_memory {

/// One range of guest RAM and where it is in host memory.
struct RegionSpan {
  GuestAddress base;             ///< the guest-physical address of the first byte
  std::span<std::byte> host;     ///< the same bytes here; not to be dereferenced
  DirtyBitmap* dirty = nullptr;  ///< borrowed; covers the region from its first byte
};

class SliceWalk;

/// Guest RAM as a value of two words, borrowed: sorted, disjoint regions that outlive the view.
///
/// Ranges are checked before anything is touched: when an exact function fails, no byte moved. An
/// empty range is fine at any address. What is never torn: see GuestSlice; objects of read() and
/// write() are like that at any size, also across regions.
/// In a test it stands on a vector:
///
///   std::vector<std::byte> ram(0x10000);
///   const RegionSpan region{GuestAddress(0x1000), ram};
///   const MemoryView memory(region);
///
/// Thread-safety: any number of threads.
class MemoryView {
 public:
  /// No RAM at all.
  MemoryView() = default;
  /// Precondition: `region` outlives the view (so it can't be a temporary).
  explicit MemoryView(const RegionSpan& region) : regions_(&region), count_(1) {}
  explicit MemoryView(const RegionSpan&&) = delete;
  /// Precondition: sorted by base, disjoint, none passing 2^64 - 1.
  explicit MemoryView(std::span<const RegionSpan> regions)
      : regions_(regions.empty() ? &kNone : regions.data()), count_(regions.size()) {}

  /// Ascending; borrowed as the view is.
  [[nodiscard]] std::span<const RegionSpan> regions() const { return {regions_, count_}; }
  /// The region that holds `address`, or nullptr.
  [[nodiscard]] const RegionSpan* find_region(GuestAddress address) const {
    const RegionSpan* region = candidate(address);
    return address.raw() - region->base.raw() < region->host.size() ? region : nullptr;
  }
  /// One past the last region.
  [[nodiscard]] const RegionSpan* end_region() const { return regions_ + count_; }
  /// The last address of the highest region. Precondition: there is a region.
  [[nodiscard]] GuestAddress last_address() const;
  /// Whether all of the range is RAM, in as many regions as it takes.
  [[nodiscard]] bool check_range(GuestAddress address, std::uint64_t bytes) const {
    const At found = at(address, bytes);
    return found.host != nullptr || is_ram(found.place, bytes);
  }
  /// The same with the reason. Errors: kUnmapped, kPartial, kOverflow.
  [[nodiscard]] Result<void, MemoryError> check(GuestAddress address, std::uint64_t bytes) const {
    const At found = at(address, bytes);
    if (found.host == nullptr) [[unlikely]]
      return check_slowly(found.place, bytes);
    return {};
  }
  /// Whether the byte at `address` is RAM.
  [[nodiscard]] bool contains(GuestAddress address) const {
    return find_region(address) != nullptr;
  }

  /// A contiguous piece of one region.
  /// Errors: kUnmapped, kPartial, kOverflow; kNotContiguous when it is RAM but of two regions.
  [[nodiscard]] Result<GuestSlice, MemoryError> slice(GuestAddress address,
                                                      std::uint64_t bytes) const {
    const At found = at(address, bytes);
    if (found.host == nullptr) [[unlikely]]
      return slice_slowly(found.place, bytes);
    return GuestSlice({found.host, bytes}, found.dirty());
  }
  /// The pieces of a range, one per region, without allocation; see SliceWalk.
  [[nodiscard]] SliceWalk slices(GuestAddress address, std::uint64_t bytes) const;

  /// A private copy of the object at `address`, which may cross from one region to the next.
  /// Errors: kUnmapped, kPartial, kOverflow.
  template <GuestValue T>
  [[nodiscard]] Result<T, MemoryError> read(GuestAddress address) const {
    const At found = at(address, sizeof(T));
    if (found.host != nullptr) [[likely]]
      return detail::read_object<T>(found.host);
    T value;
    VMM_TRY_DO(read_slowly(found.place, {reinterpret_cast<std::byte*>(&value), sizeof(T)}));
    return value;
  }
  /// Errors: as read(); then nothing is written.
  template <GuestValue T>
  Result<void, MemoryError> write(GuestAddress address, const T& value) const {
    const At found = at(address, sizeof(T));
    if (found.host == nullptr) [[unlikely]] {
      return write_slowly(found.place, std::as_bytes(std::span(&value, 1)));
    }
    detail::write_object(found.host, value);
    found.dirty().mark(0, sizeof(T));
    return {};
  }
  /// One atomic load. Errors: kMisaligned; else as slice().
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_seq_cst>
  [[nodiscard]] Result<T, MemoryError> load(GuestAddress address) const {
    VMM_TRY(const GuestSlice word, slice(address, sizeof(T)));
    if (!word.is_aligned(sizeof(T))) [[unlikely]]
      return fail(MemoryError::kMisaligned);
    return word.load<T, kOrder>();
  }
  /// One atomic store. Errors: as load(); then nothing is written.
  template <GuestScalar T, std::memory_order kOrder = std::memory_order_seq_cst>
  Result<void, MemoryError> store(GuestAddress address, T value) const {
    VMM_TRY(const GuestSlice word, slice(address, sizeof(T)));
    if (!word.is_aligned(sizeof(T))) [[unlikely]]
      return fail(MemoryError::kMisaligned);
    word.store<T, kOrder>(value);
    return {};
  }

  /// Copies all of `to` from guest memory. Errors: as read().
  Result<void, MemoryError> read_bytes(GuestAddress address, std::span<std::byte> to) const {
    const At found = at(address, to.size());
    if (found.host == nullptr) [[unlikely]]
      return read_slowly(found.place, to);
    if (!to.empty()) detail::copy_out(to.data(), found.host, to.size());
    return {};
  }
  /// Copies all of `from` to guest memory. Errors: as read(); then nothing is written.
  [[gnu::always_inline]] Result<void, MemoryError> write_bytes(
      GuestAddress address, std::span<const std::byte> from) const {
    const At found = at(address, from.size());
    if (found.host == nullptr) [[unlikely]]
      return write_slowly(found.place, from);
    if (from.empty()) return {};
    detail::copy_in(found.host, from.data(), from.size());
    found.dirty().mark(0, from.size());
    return {};
  }
  /// Copies up to the first hole and returns how much that was, at least 1 unless `to` is empty.
  /// Errors: kUnmapped when `address` is not RAM.
  Result<std::size_t, MemoryError> read_some(GuestAddress address, std::span<std::byte> to) const {
    const At found = at(address, to.size());
    if (found.host == nullptr || to.empty()) [[unlikely]]
      return read_some_slowly(found.place, to);
    detail::copy_out(to.data(), found.host, to.size());
    return to.size();
  }
  /// The same for writing: `from` up to the first hole.
  Result<std::size_t, MemoryError> write_some(GuestAddress address,
                                              std::span<const std::byte> from) const {
    const At found = at(address, from.size());
    if (found.host == nullptr || from.empty()) [[unlikely]]
      return write_some_slowly(found.place, from);
    detail::copy_in(found.host, from.data(), from.size());
    found.dirty().mark(0, from.size());
    return from.size();
  }
  /// Sets `bytes` bytes to `value`. Errors: as write().
  Result<void, MemoryError> fill(GuestAddress address, std::uint64_t bytes, std::byte value) const;

  /// Marks what is RAM in the range, up to the first hole, as written: after a system call wrote
  /// through unsafe_iovec().
  void mark_dirty(GuestAddress address, std::uint64_t bytes) const;

  /// Reads `bytes` bytes at `file_offset` straight into guest memory, with preadv(2).
  /// Errors: a MemoryError before anything is read; ENODATA when the file ends early; the errno of
  /// the call. After the latter two a part may have been read.
  Result<void> read_from_file(int fd, std::uint64_t file_offset, GuestAddress address,
                              std::uint64_t bytes) const;
  /// Writes straight from guest memory, with pwritev(2). Errors: as read_from_file.
  Result<void> write_to_file(int fd, std::uint64_t file_offset, GuestAddress address,
                             std::uint64_t bytes) const;

 private:
  friend class SliceWalk;

  static const RegionSpan kNone;

  /// A region and an offset, perhaps outside of it.
  struct Place {
    const RegionSpan* region;
    std::uint64_t offset;
  };
  struct At {
    Place place;
    std::byte* host;  ///< nullptr: not within one region
    [[nodiscard]] DirtyWindow dirty() const { return {place.region->dirty, place.offset}; }
  };

  /// The last region that starts at or below `address`, or else the first one. The search has no
  /// branches to mispredict, and one region takes none of its steps.
  [[nodiscard]] const RegionSpan* candidate(GuestAddress address) const {
    const RegionSpan* region = regions_;
    for (std::size_t left = count_; left > 1;) {
      const std::size_t half = left / 2;
      region += region[half].base <= address ? half : 0;
      left -= half;
    }
    return region;
  }
  [[nodiscard]] At at(GuestAddress address, std::uint64_t bytes) const {
    const RegionSpan* region = candidate(address);
    const std::uint64_t offset = address.raw() - region->base.raw();
    const bool inside = offset < region->host.size() && bytes <= region->host.size() - offset;
    return {{region, offset}, inside ? region->host.data() + offset : nullptr};
  }
  [[nodiscard]] bool is_ram(Place place, std::uint64_t bytes) const;
  [[nodiscard]] static MemoryError reason(Place place, std::uint64_t bytes);
  [[nodiscard]] Result<void, MemoryError> check_slowly(Place place, std::uint64_t bytes) const;
  [[nodiscard]] Result<GuestSlice, MemoryError> slice_slowly(Place place,
                                                             std::uint64_t bytes) const;
  Result<void, MemoryError> read_slowly(Place place, std::span<std::byte> to) const;
  Result<void, MemoryError> write_slowly(Place place, std::span<const std::byte> from) const;
  Result<std::size_t, MemoryError> read_some_slowly(Place place, std::span<std::byte> to) const;
  Result<std::size_t, MemoryError> write_some_slowly(Place place,
                                                     std::span<const std::byte> from) const;

  const RegionSpan* regions_ = &kNone;
  std::size_t count_ = 0;
};

/// Yields the slices of a range of guest memory in order, one per region it touches.
///
///   for (SliceWalk walk = memory.slices(address, bytes); !walk.done();) {
///     VMM_TRY(const GuestSlice slice, walk.next());
///     ...
///   }
///
/// At the first hole next() answers kUnmapped, or kPartial when something came before it, and the
/// walk is done.
class SliceWalk {
 public:
  /// For MemoryView::slices(). The regions of `memory` outlive the walk; nothing is checked yet.
  SliceWalk(const MemoryView& memory, GuestAddress address, std::uint64_t bytes)
      : region_(memory.candidate(address)),
        end_(memory.end_region()),
        next_(address.raw()),
        left_(bytes) {}

  /// Whether all bytes were given, or next() has failed.
  [[nodiscard]] bool done() const { return left_ == 0; }
  /// Precondition: !done().
  [[nodiscard]] Result<GuestSlice, MemoryError> next() {
    const std::uint64_t offset = region_ == end_ ? 0 : next_ - region_->base.raw();
    if (region_ == end_ || left_ == 0 || offset >= region_->host.size()) [[unlikely]] {
      left_ = 0;
      return fail(begun_ ? MemoryError::kPartial : MemoryError::kUnmapped);
    }
    const std::uint64_t n = std::min<std::uint64_t>(left_, region_->host.size() - offset);
    const GuestSlice slice({region_->host.data() + offset, n}, {region_->dirty, offset});
    begun_ = true;
    left_ -= n;
    next_ += n;
    ++region_;
    return slice;
  }

 private:
  const RegionSpan* region_;
  const RegionSpan* end_;
  std::uint64_t next_;
  std::uint64_t left_;
  bool begun_ = false;
};

inline SliceWalk MemoryView::slices(GuestAddress address, std::uint64_t bytes) const {
  return {*this, address, bytes};
}

}  // namespace vmm::vm_memory
