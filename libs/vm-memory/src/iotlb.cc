// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/iotlb.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace vmm::vm_memory {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<IotlbError>(code)) {
    case IotlbError::kFull:
      return "too many I/O mappings";
    case IotlbError::kOverflow:
      return "an I/O mapping passes the end of the address space";
  }
  return "unknown I/O mapping error";
}

constexpr ErrorDomain kDomain{"iotlb", &message};

/// The last byte of a range that is not empty, clipped to the address space.
std::uint64_t clipped_last(std::uint64_t first, std::uint64_t bytes) {
  std::uint64_t last = 0;
  return __builtin_add_overflow(first, bytes - 1, &last) ? ~std::uint64_t{0} : last;
}

bool passes_end(std::uint64_t first, std::uint64_t bytes) {
  std::uint64_t last = 0;
  return __builtin_add_overflow(first, bytes - 1, &last);
}

}  // namespace

// Up to three entries in a row; a further one may prolong the last.
struct Iotlb::EntryList {
  std::array<Entry, 3> entries;
  std::size_t count = 0;

  void append(const Entry& next) {
    if (count != 0) {
      Entry& before = entries[count - 1];
      const std::uint64_t distance = next.first - before.first;
      if (before.last + 1 == next.first && before.target + distance == next.target &&
          before.permission == next.permission) {
        before.last = next.last;
        return;
      }
    }
    entries[count++] = next;
  }
};

Iotlb::Entry Iotlb::upto(Entry entry, std::uint64_t last) {
  entry.last = last;
  return entry;
}

Iotlb::Entry Iotlb::from(Entry entry, std::uint64_t first) {
  entry.target += first - entry.first;
  entry.first = first;
  return entry;
}

Error make_error(IotlbError error) {
  return {kDomain, static_cast<std::int32_t>(error), "I/O mapping"};
}

/// The first entry that ends at or above `iova`.
std::size_t Iotlb::lower_bound(std::uint64_t iova) const {
  const auto at = std::ranges::lower_bound(entries_, iova, {}, &Entry::last);
  return static_cast<std::size_t>(at - entries_.begin());
}

/// Puts `fresh` in the place of the entries in [begin, end).
void Iotlb::replace(std::size_t begin, std::size_t end, std::span<const Entry> fresh) {
  const auto at = entries_.begin() + static_cast<std::ptrdiff_t>(begin);
  const std::size_t kept = std::min(fresh.size(), end - begin);
  const auto rest = std::copy_n(fresh.begin(), kept, at);
  if (kept < fresh.size()) {
    entries_.insert(rest, fresh.begin() + static_cast<std::ptrdiff_t>(kept), fresh.end());
  } else {
    entries_.erase(rest, entries_.begin() + static_cast<std::ptrdiff_t>(end));
  }
}

Result<void, IotlbError> Iotlb::set_mapping(IovaRange range, GuestAddress target,
                                            Access permission) {
  if (range.bytes == 0) return {};
  const std::uint64_t first = range.start.raw();
  if (passes_end(first, range.bytes) || passes_end(target.raw(), range.bytes)) {
    return fail(IotlbError::kOverflow);
  }
  const std::uint64_t last = first + (range.bytes - 1);
  // The entries in [begin, end) are replaced by what sticks out of them on the left (or the left
  // neighbour), the new one, and what sticks out on the right (or the right neighbour), of which
  // those that continue each other become one.
  std::size_t begin = lower_bound(first);
  std::size_t end = begin;
  while (end < entries_.size() && entries_[end].first <= last) ++end;
  EntryList fresh;
  const bool touches = begin < end;
  if (touches && entries_[begin].first < first) {
    fresh.append(upto(entries_[begin], first - 1));
  } else if (begin > 0) {
    fresh.append(entries_[--begin]);
  }
  fresh.append({first, last, target.raw(), permission});
  if (touches && entries_[end - 1].last > last) {
    fresh.append(from(entries_[end - 1], last + 1));
  } else if (end < entries_.size()) {
    fresh.append(entries_[end++]);
  }
  if (fresh.count > end - begin && entries_.size() + fresh.count - (end - begin) > max_entries_) {
    return fail(IotlbError::kFull);
  }
  replace(begin, end, {fresh.entries.data(), fresh.count});
  return {};
}

void Iotlb::invalidate(IovaRange range) {
  if (range.bytes == 0) return;
  const std::uint64_t first = range.start.raw();
  const std::uint64_t last = clipped_last(first, range.bytes);
  const std::size_t begin = lower_bound(first);
  std::size_t end = begin;
  while (end < entries_.size() && entries_[end].first <= last) ++end;
  if (begin == end) return;
  EntryList fresh;
  if (entries_[begin].first < first) fresh.append(upto(entries_[begin], first - 1));
  if (entries_[end - 1].last > last) fresh.append(from(entries_[end - 1], last + 1));
  if (fresh.count > end - begin && entries_.size() >= max_entries_) fresh.count = 1;
  replace(begin, end, {fresh.entries.data(), fresh.count});
}

Result<Segment, MemoryError> Iotlb::lookup(Iova iova, std::uint64_t bytes, Access access) const {
  if (bytes == 0) return Segment{};
  if (passes_end(iova.raw(), bytes)) return fail(MemoryError::kOverflow);
  const std::size_t at = lower_bound(iova.raw());
  if (at == entries_.size() || entries_[at].first > iova.raw()) {
    return fail(MemoryError::kNotTranslated);
  }
  const Entry& entry = entries_[at];
  if (!permits(entry.permission, access)) return fail(MemoryError::kNoPermission);
  const std::uint64_t target = entry.target + (iova.raw() - entry.first);
  // One less than the length, which may be 2^64.
  const std::uint64_t left = std::min(entry.last - iova.raw(), bytes - 1);
  return Segment{GuestAddress(target), left + 1};
}

IotlbFaults Iotlb::faults(IovaRange range, Access access) const {
  IotlbFaults out;
  if (range.bytes == 0) return out;
  std::uint64_t next = range.start.raw();
  const std::uint64_t last = clipped_last(next, range.bytes);
  for (std::size_t i = lower_bound(next); i < entries_.size() && entries_[i].first <= last; ++i) {
    const Entry& entry = entries_[i];
    if (entry.first > next) out.missing.push_back({Iova(next), entry.first - next});
    const std::uint64_t from = std::max(entry.first, next);
    const std::uint64_t to = std::min(entry.last, last);
    if (!permits(entry.permission, access)) out.denied.push_back({Iova(from), to - from + 1});
    if (to == last) return out;
    next = to + 1;
  }
  out.missing.push_back({Iova(next), last - next + 1});
  return out;
}

Result<Segment, MemoryError> IotlbTranslator::translate(Iova iova, std::uint64_t bytes,
                                                        Access access) {
  const MutexLock lock(mutex_);
  return iotlb_.lookup(iova, bytes, access);
}

Result<void, IotlbError> IotlbTranslator::set_mapping(IovaRange range, GuestAddress target,
                                                      Access permission) {
  const MutexLock lock(mutex_);
  return iotlb_.set_mapping(range, target, permission);
}

void IotlbTranslator::invalidate(IovaRange range) {
  const MutexLock lock(mutex_);
  iotlb_.invalidate(range);
}

void IotlbTranslator::invalidate_all() {
  const MutexLock lock(mutex_);
  iotlb_.invalidate_all();
}

IotlbFaults IotlbTranslator::faults(IovaRange range, Access access) const {
  const MutexLock lock(mutex_);
  return iotlb_.faults(range, access);
}

}  // namespace vmm::vm_memory
