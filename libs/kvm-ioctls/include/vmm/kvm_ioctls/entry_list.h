// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"

namespace vmm::kvm_ioctls {

/// A list of up to kMax entries in the memory layout of the kernel's "count, padding, entries"
/// structures, so that it is passed to an ioctl without a copy.
///
/// The length that readers see is never above kMax, whatever was written into the count.
template <class Entry, std::uint32_t kMax>
class EntryList {
 public:
  static constexpr std::uint32_t kCapacity = kMax;

  EntryList() = default;

  /// Errors: ENOMEM for more than kMax entries.
  static Result<EntryList> from(std::span<const Entry> entries) {
    if (entries.size() > kMax) return fail(Error::os(ENOMEM, "EntryList::from"));
    EntryList list;
    list.count_ = static_cast<std::uint32_t>(entries.size());
    std::copy(entries.begin(), entries.end(), list.entries_.begin());
    return list;
  }

  /// Appends; false when the list is full.
  [[nodiscard]] bool push_back(const Entry& entry) {
    if (count_ >= kMax) return false;
    entries_[count_++] = entry;
    return true;
  }
  /// Makes the list `count` entries long; new ones keep what their memory held.
  [[nodiscard]] bool resize(std::size_t count) {
    if (count > kMax) return false;
    count_ = static_cast<std::uint32_t>(count);
    return true;
  }
  void clear() { count_ = 0; }

  [[nodiscard]] std::size_t size() const { return std::min(count_, kMax); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::span<Entry> entries() { return {entries_.data(), size()}; }
  [[nodiscard]] std::span<const Entry> entries() const { return {entries_.data(), size()}; }
  [[nodiscard]] Entry* begin() { return entries_.data(); }
  [[nodiscard]] Entry* end() { return entries_.data() + size(); }
  [[nodiscard]] const Entry* begin() const { return entries_.data(); }
  [[nodiscard]] const Entry* end() const { return entries_.data() + size(); }
  /// The kernel's structure.
  [[nodiscard]] void* raw() { return this; }
  [[nodiscard]] const void* raw() const { return this; }

 private:
  std::uint32_t count_ = 0;
  std::uint32_t padding_ = 0;
  std::array<Entry, kMax> entries_{};
};

}  // namespace vmm::kvm_ioctls
