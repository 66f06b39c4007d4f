// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/memory_view.h"

#include <algorithm>

namespace vmm::vm_memory {

constinit const RegionSpan MemoryView::kNone{};

GuestAddress MemoryView::last_address() const {
  VMM_ASSERT_ALWAYS(count_ != 0);
  const RegionSpan& last = regions_[count_ - 1];
  return GuestAddress(last.base.raw() + (last.host.size() - 1));
}

Result<GuestSlice, MemoryError> SliceWalk::next() {
  VMM_ASSERT_ALWAYS(left_ != 0);
  const RegionSpan* region = wrapped_ ? nullptr : memory_.find_region(next_);
  if (region == nullptr) {
    left_ = 0;
    if (wrapped_) return fail(MemoryError::kOverflow);
    return fail(begun_ ? MemoryError::kPartial : MemoryError::kUnmapped);
  }
  const std::uint64_t offset = next_.raw() - region->base.raw();
  const std::uint64_t n = std::min<std::uint64_t>(left_, region->host.size() - offset);
  begun_ = true;
  left_ -= n;
  next_ = GuestAddress(next_.raw() + n);
  wrapped_ = next_.raw() == 0;
  return GuestSlice(region->host.subspan(offset, n), {region->dirty, offset});
}

Result<void, MemoryError> MemoryView::check_slowly(GuestAddress address,
                                                   std::uint64_t bytes) const {
  if (bytes == 0) return {};
  if (!address.checked_add(bytes - 1)) return fail(MemoryError::kOverflow);
  for (SliceWalk walk = slices(address, bytes); !walk.done();) VMM_TRY_DO(walk.next());
  return {};
}

Result<GuestSlice, MemoryError> MemoryView::slice_slowly(GuestAddress address,
                                                         std::uint64_t bytes) const {
  if (bytes == 0) return GuestSlice();
  VMM_TRY_DO(check(address, bytes));
  return fail(MemoryError::kNotContiguous);
}

Result<void, MemoryError> MemoryView::read_slowly(GuestAddress address,
                                                  std::span<std::byte> to) const {
  VMM_TRY_DO(check(address, to.size()));
  for (SliceWalk walk = slices(address, to.size()); !walk.done();) {
    VMM_TRY(const GuestSlice from, walk.next());
    const IoVec piece = from.unsafe_iovec();
    detail::copy_out_fields(to.data(), static_cast<const std::byte*>(piece.base), piece.bytes);
    to = to.subspan(piece.bytes);
  }
  return {};
}

Result<void, MemoryError> MemoryView::write_slowly(GuestAddress address,
                                                   std::span<const std::byte> from) const {
  VMM_TRY_DO(check(address, from.size()));
  for (SliceWalk walk = slices(address, from.size()); !walk.done();) {
    VMM_TRY(const GuestSlice to, walk.next());
    const IoVec piece = to.unsafe_iovec();
    detail::copy_in_fields(static_cast<std::byte*>(piece.base), from.data(), piece.bytes);
    to.mark_dirty(0, piece.bytes);
    from = from.subspan(piece.bytes);
  }
  return {};
}

Result<std::size_t, MemoryError> MemoryView::read_some_slowly(GuestAddress address,
                                                              std::span<std::byte> to) const {
  const std::size_t wanted = to.size();
  for (SliceWalk walk = slices(address, wanted); !walk.done();) {
    const Result<GuestSlice, MemoryError> from = walk.next();
    if (!from) {
      if (to.size() == wanted) return fail(from.error());
      break;
    }
    to = to.subspan(from->copy_to(to));
  }
  return wanted - to.size();
}

Result<std::size_t, MemoryError> MemoryView::write_some_slowly(
    GuestAddress address, std::span<const std::byte> from) const {
  const std::size_t wanted = from.size();
  for (SliceWalk walk = slices(address, wanted); !walk.done();) {
    const Result<GuestSlice, MemoryError> to = walk.next();
    if (!to) {
      if (from.size() == wanted) return fail(to.error());
      break;
    }
    from = from.subspan(to->copy_from(from));
  }
  return wanted - from.size();
}

Result<void, MemoryError> MemoryView::fill(GuestAddress address, std::uint64_t bytes,
                                           std::byte value) const {
  VMM_TRY_DO(check(address, bytes));
  for (SliceWalk walk = slices(address, bytes); !walk.done();) {
    VMM_TRY(const GuestSlice to, walk.next());
    to.fill(value);
  }
  return {};
}

}  // namespace vmm::vm_memory
