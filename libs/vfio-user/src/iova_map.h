// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <map>

#include "vmm/base/result.h"
#include "vmm/vfio_user/user_error.h"

// What both sides do with ranges of DMA addresses, which are in maps by their first address.

namespace vmm::vfio_user {

/// Whether [iova, iova + bytes) is not empty and ends at 2^64 at most.
constexpr bool is_range(std::uint64_t iova, std::uint64_t bytes) {
  return bytes != 0 && bytes - 1 <= UINT64_MAX - iova;
}

/// Whether nothing of a range is in the map. `size_of` says how many bytes an entry has.
template <class Entry, class SizeOf>
bool is_free(const std::map<std::uint64_t, Entry>& entries, std::uint64_t iova, std::uint64_t bytes,
             SizeOf&& size_of) {
  const auto next = entries.upper_bound(iova);
  if (next != entries.end() && next->first - iova < bytes) return false;
  if (next == entries.begin()) return true;
  const auto& [base, entry] = *std::prev(next);
  return iova - base >= size_of(entry);
}

/// Calls visit(entry, offset in it, offset in the range, bytes) for each part of a range, all of
/// which must be in the map. Errors: kBadRange, kNotMapped; those of `visit`.
template <class Entry, class SizeOf, class Visit>
Result<void> for_each_part(const std::map<std::uint64_t, Entry>& entries, std::uint64_t iova,
                           std::uint64_t bytes, SizeOf&& size_of, Visit&& visit) {
  if (!is_range(iova, bytes)) return fail(UserError::kBadRange);
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t at = iova + done;
    const auto next = entries.upper_bound(at);
    if (next == entries.begin()) return fail(UserError::kNotMapped);
    const auto& [base, entry] = *std::prev(next);
    const std::uint64_t size = size_of(entry);
    if (at - base >= size) return fail(UserError::kNotMapped);
    const std::uint64_t part = std::min(size - (at - base), bytes - done);
    VMM_TRY_DO(
        visit(entry, at - base, static_cast<std::size_t>(done), static_cast<std::size_t>(part)));
    done += part;
  }
  return {};
}

}  // namespace vmm::vfio_user
