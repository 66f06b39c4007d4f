// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/memory_view.h"

#include <algorithm>

namespace vmm::vm_memory {
namespace {

/// How many of `bytes` bytes from `offset` of `region` on are RAM, at least up to its end.
std::uint64_t available(const RegionSpan* region, const RegionSpan* end, std::uint64_t offset,
                        std::uint64_t bytes) {
  std::uint64_t found = region->host.size() - offset;
  for (const RegionSpan* next = region + 1; found < bytes && next != end; region = next++) {
    if (next->base.raw() != region->base.raw() + region->host.size()) break;
    found += next->host.size();
  }
  return std::min(found, bytes);
}

/// Calls f(region, offset, bytes) for the part of each region in a range that is all RAM.
template <class F>
void for_each_piece(const RegionSpan* region, std::uint64_t offset, std::uint64_t bytes, F&& f) {
  while (bytes != 0) {
    const std::uint64_t n = std::min<std::uint64_t>(bytes, region->host.size() - offset);
    f(*region, offset, n);
    bytes -= n;
    offset = 0;
    ++region;
  }
}

void copy_pieces_out(const RegionSpan* region, std::uint64_t offset, std::byte* to,
                     std::uint64_t bytes) {
  for_each_piece(region, offset, bytes,
                 [&](const RegionSpan& piece, std::uint64_t from, std::uint64_t n) {
                   detail::copy_out_fields(to, piece.host.data() + from, n);
                   to += n;
                 });
}

void copy_pieces_in(const RegionSpan* region, std::uint64_t offset, const std::byte* from,
                    std::uint64_t bytes) {
  for_each_piece(region, offset, bytes,
                 [&](const RegionSpan& piece, std::uint64_t to, std::uint64_t n) {
                   detail::copy_in_fields(piece.host.data() + to, from, n);
                   DirtyWindow{piece.dirty, to}.mark(0, n);
                   from += n;
                 });
}

}  // namespace

constinit const RegionSpan MemoryView::kNone{};

GuestAddress MemoryView::last_address() const {
  VMM_ASSERT_ALWAYS(count_ != 0);
  const RegionSpan& last = regions_[count_ - 1];
  return GuestAddress(last.base.raw() + (last.host.size() - 1));
}

/// Whether all of the range is RAM. (Regions do not pass 2^64, so neither does such a range.)
bool MemoryView::is_ram(Place place, std::uint64_t bytes) const {
  return bytes == 0 || (place.offset < place.region->host.size() &&
                        available(place.region, end_region(), place.offset, bytes) == bytes);
}

/// Why a range is not RAM.
MemoryError MemoryView::reason(Place place, std::uint64_t bytes) {
  const std::uint64_t address = place.region->base.raw() + place.offset;
  if (address + (bytes - 1) < address) return MemoryError::kOverflow;
  if (place.offset >= place.region->host.size()) return MemoryError::kUnmapped;
  return MemoryError::kPartial;
}

Result<void, MemoryError> MemoryView::check_slowly(Place place, std::uint64_t bytes) const {
  if (!is_ram(place, bytes)) return fail(reason(place, bytes));
  return {};
}

Result<GuestSlice, MemoryError> MemoryView::slice_slowly(Place place, std::uint64_t bytes) const {
  if (bytes == 0) return GuestSlice();
  if (!is_ram(place, bytes)) return fail(reason(place, bytes));
  return fail(MemoryError::kNotContiguous);
}

Result<void, MemoryError> MemoryView::read_slowly(Place place, std::span<std::byte> to) const {
  if (!is_ram(place, to.size())) [[unlikely]]
    return fail(reason(place, to.size()));
  copy_pieces_out(place.region, place.offset, to.data(), to.size());
  return {};
}

Result<void, MemoryError> MemoryView::write_slowly(Place place,
                                                   std::span<const std::byte> from) const {
  if (!is_ram(place, from.size())) [[unlikely]]
    return fail(reason(place, from.size()));
  copy_pieces_in(place.region, place.offset, from.data(), from.size());
  return {};
}

Result<std::size_t, MemoryError> MemoryView::read_some_slowly(Place place,
                                                              std::span<std::byte> to) const {
  if (to.empty()) return std::size_t{0};
  if (place.offset >= place.region->host.size()) return fail(MemoryError::kUnmapped);
  const std::uint64_t n = available(place.region, end_region(), place.offset, to.size());
  copy_pieces_out(place.region, place.offset, to.data(), n);
  return n;
}

Result<std::size_t, MemoryError> MemoryView::write_some_slowly(
    Place place, std::span<const std::byte> from) const {
  if (from.empty()) return std::size_t{0};
  if (place.offset >= place.region->host.size()) return fail(MemoryError::kUnmapped);
  const std::uint64_t n = available(place.region, end_region(), place.offset, from.size());
  copy_pieces_in(place.region, place.offset, from.data(), n);
  return n;
}

Result<void, MemoryError> MemoryView::fill(GuestAddress address, std::uint64_t bytes,
                                           std::byte value) const {
  const Place place = at(address, bytes).place;
  VMM_TRY_DO(check_slowly(place, bytes));
  for_each_piece(place.region, place.offset, bytes,
                 [&](const RegionSpan& region, std::uint64_t offset, std::uint64_t n) {
                   detail::fill(region.host.data() + offset, value, n);
                   DirtyWindow{region.dirty, offset}.mark(0, n);
                 });
  return {};
}

void MemoryView::mark_dirty(GuestAddress address, std::uint64_t bytes) const {
  for (SliceWalk walk = slices(address, bytes); !walk.done();) {
    const Result<GuestSlice, MemoryError> piece = walk.next();
    if (piece) piece->mark_dirty(0, piece->size());
  }
}

}  // namespace vmm::vm_memory
