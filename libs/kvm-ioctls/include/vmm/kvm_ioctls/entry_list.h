// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <utility>

#include "vmm/base/result.h"

namespace vmm::kvm_ioctls {

/// A list of up to kMax entries in the memory layout of the kernel's "count, padding, entries"
/// structures, so that it is passed to an ioctl without a copy.
///
/// The length that readers see is never above kMax, whatever was written into the count.
template <class Entry, std::uint32_t kMax>
class EntryList {
 public:
  static constexpr std::uint32_t kCapacity = kMax;  ///< the largest size()

  EntryList() {}  // NOLINT: entries are written when they become part of the list

  /// Errors: ENOMEM for more than kMax entries.
  static Result<EntryList> from(std::span<const Entry> entries) {
    Result<EntryList> list{std::in_place};  // the one thing returned, as it is large to move
    if (entries.size() > kMax) {
      list = fail(Error::os(ENOMEM, "EntryList::from"));
      return list;
    }
    list->count_ = static_cast<std::uint32_t>(entries.size());
    std::copy(entries.begin(), entries.end(), list->entries_.begin());
    return list;
  }

  /// Appends; false when the list is full.
  [[nodiscard]] bool push_back(const Entry& entry) {
    if (count_ >= kMax) return false;
    entries_[count_++] = entry;
    return true;
  }
  /// Makes the list `count` entries long; new ones are zero. False when that is above kMax.
  [[nodiscard]] bool resize(std::size_t count) {
    if (count > kMax) return false;
    if (count > size()) std::fill(end(), begin() + count, Entry{});
    count_ = static_cast<std::uint32_t>(count);
    return true;
  }
  /// Makes the list empty; the storage stays.
  void clear() { count_ = 0; }
  /// Keeps the entries for which `keep` is true, in their order.
  template <class Predicate>
  void retain(Predicate keep) {
    Entry* next = begin();
    for (Entry* entry = begin(); entry != end(); ++entry) {
      if (!keep(*entry)) continue;
      if (next != entry) *next = *entry;
      ++next;
    }
    count_ = static_cast<std::uint32_t>(next - begin());
  }

  /// The entries are the same, byte for byte.
  friend bool operator==(const EntryList& a, const EntryList& b) {
    return a.size() == b.size() &&
           std::memcmp(a.entries_.data(), b.entries_.data(), a.size() * sizeof(Entry)) == 0;
  }

  /// @{
  /// The entries in the list, at most kMax; iterators and spans lead into this object and do not
  /// see later additions.
  [[nodiscard]] std::size_t size() const { return std::min(count_, kMax); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::span<Entry> entries() { return {entries_.data(), size()}; }
  [[nodiscard]] std::span<const Entry> entries() const { return {entries_.data(), size()}; }
  [[nodiscard]] Entry* begin() { return entries_.data(); }
  [[nodiscard]] Entry* end() { return entries_.data() + size(); }
  [[nodiscard]] const Entry* begin() const { return entries_.data(); }
  [[nodiscard]] const Entry* end() const { return entries_.data() + size(); }
  /// @}
  /// The kernel's structure.
  [[nodiscard]] void* raw() { return this; }
  /// The kernel's structure, for ioctls that only read it.
  [[nodiscard]] const void* raw() const { return this; }

 private:
  std::uint32_t count_ = 0;
  std::uint32_t padding_ = 0;
  std::array<Entry, kMax> entries_;  // the first size()
};

}  // namespace vmm::kvm_ioctls
