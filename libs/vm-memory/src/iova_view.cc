// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/iova_view.h"

#include <algorithm>

namespace vmm::vm_memory {
namespace {

bool passes_end(Iova iova, std::uint64_t bytes) { return !iova.checked_add(bytes - 1); }

}  // namespace

Result<GuestSlice, MemoryError> IovaView::first(Iova iova, std::uint64_t bytes,
                                                Access access) const {
  if (passes_end(iova, bytes)) return fail(MemoryError::kOverflow);
  Segment segment{GuestAddress(iova.raw()), bytes};
  if (translator_ != nullptr) {
    VMM_TRY(segment, translator_->translate(iova, bytes, access));
    // Not trusted: an empty or a longer answer would lead out of the range.
    segment.bytes = std::min(segment.bytes, bytes);
    if (segment.bytes == 0) return fail(MemoryError::kNotTranslated);
  }
  SliceWalk walk = memory_.slices(segment.address, segment.bytes);
  VMM_TRY(const GuestSlice slice, walk.next());
  if (translator_ == nullptr) return slice;
  const IoVec host = slice.unsafe_iovec();
  return GuestSlice({static_cast<std::byte*>(host.base), host.bytes}, {dirty_, iova.raw()});
}

Result<GuestSlice, MemoryError> IovaView::scalar(Iova iova, std::size_t bytes,
                                                 Access access) const {
  VMM_TRY(const GuestSlice word, first(iova, bytes, access));
  if (word.size() != bytes) {
    VMM_TRY_DO(check(iova, bytes, access));
    return fail(MemoryError::kNotContiguous);
  }
  if (!word.is_aligned(bytes)) return fail(MemoryError::kMisaligned);
  return word;
}

Result<void, MemoryError> IovaView::check(Iova iova, std::uint64_t bytes, Access access) const {
  if (bytes != 0 && passes_end(iova, bytes)) return fail(MemoryError::kOverflow);
  for (IovaWalk walk = slices(iova, bytes, access); !walk.done();) VMM_TRY_DO(walk.next());
  return {};
}

Result<void, MemoryError> IovaView::read_bytes(Iova iova, std::span<std::byte> to) const {
  VMM_TRY_DO(check(iova, to.size(), Access::kRead));
  for (IovaWalk walk = slices(iova, to.size(), Access::kRead); !walk.done();) {
    VMM_TRY(const GuestSlice from, walk.next());
    to = to.subspan(from.copy_to(to));
  }
  return {};
}

Result<void, MemoryError> IovaView::write_bytes(Iova iova, std::span<const std::byte> from) const {
  VMM_TRY_DO(check(iova, from.size(), Access::kWrite));
  for (IovaWalk walk = slices(iova, from.size(), Access::kWrite); !walk.done();) {
    VMM_TRY(const GuestSlice to, walk.next());
    from = from.subspan(to.copy_from(from));
  }
  return {};
}

Result<GuestSlice, MemoryError> IovaWalk::next() {
  VMM_ASSERT_ALWAYS(left_ != 0);
  const Result<GuestSlice, MemoryError> slice = memory_.first(next_, left_, access_);
  if (!slice) {
    left_ = 0;
    return slice;
  }
  left_ -= slice->size();
  next_ = Iova(next_.raw() + slice->size());
  return slice;
}

}  // namespace vmm::vm_memory
