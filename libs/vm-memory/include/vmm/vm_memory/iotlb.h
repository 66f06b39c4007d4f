// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/iova.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/memory_error.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::vm_memory {

/// Why a change of an Iotlb was refused.
enum class IotlbError : std::uint8_t {
  kFull,      ///< it would need more entries than the limit
  kOverflow,  ///< the I/O range or the guest range passes 2^64
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(IotlbError error);

/// `bytes` bytes of I/O addresses; they may end at 2^64 exactly.
struct IovaRange {
  Iova start;               ///< the first address
  std::uint64_t bytes = 0;  ///< 0: an empty range

  friend bool operator==(const IovaRange&, const IovaRange&) = default;
};

/// What stands against an access, clipped to it and ascending.
struct IotlbFaults {
  std::vector<IovaRange> missing;  ///< no mapping: to be asked for (an IOTLB miss message)
  std::vector<IovaRange> denied;   ///< mapped without the permission
};

/// A table from ranges of I/O addresses to guest-physical addresses and permissions.
///
/// All ranges may reach up to and including the last byte of the address space; one of 0 bytes
/// does nothing. Neighbours that continue each other are one entry. The number of entries is
/// limited, since the driver chooses the mappings.
///
/// Thread-safety: none; see IotlbTranslator.
class Iotlb {
 public:
  static constexpr std::size_t kDefaultMaxEntries = 65536;  ///< about 2 MiB of them

  /// `max_entries`: how many set_mapping() may leave; no room is taken in advance.
  explicit Iotlb(std::size_t max_entries = kDefaultMaxEntries) : max_entries_(max_entries) {}

  /// Maps `range` to guest memory from `target` on, over what was mapped there before.
  /// Errors: kOverflow, kFull; then nothing changes.
  Result<void, IotlbError> set_mapping(IovaRange range, GuestAddress target, Access permission);
  /// Unmaps `range`, up to the end of the address space; mappings that reach beyond it are cut.
  /// Where a cut in the middle of a mapping has no room for a further entry, the part above the
  /// range is unmapped too: nothing stale is left, at the price of a later miss.
  void invalidate(IovaRange range);
  /// Unmaps everything.
  void invalidate_all() { entries_.clear(); }

  /// As Translator::translate(). An access of kNone needs a mapping only.
  [[nodiscard]] Result<Segment, MemoryError> lookup(Iova iova, std::uint64_t bytes,
                                                    Access access) const;
  /// All that stands against the access; both lists are empty when it is fine. What passes 2^64
  /// is cut off. The lists have at most one element more than there are entries.
  [[nodiscard]] IotlbFaults faults(IovaRange range, Access access) const;

  /// Calls f(first I/O address, bytes, target, permission) for each entry, ascending; the bytes
  /// are one less, as an entry may have 2^64.
  template <class F>
  void for_each(F&& f) const {
    for (const Entry& entry : entries_) {
      f(Iova(entry.first), entry.last - entry.first, GuestAddress(entry.target), entry.permission);
    }
  }

  /// Entries, after neighbours were joined.
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  /// Whether nothing is mapped.
  [[nodiscard]] bool empty() const { return entries_.empty(); }

 private:
  /// Inclusive ends: with half-open ones the last byte of the address space needs a 65th bit.
  struct Entry {
    std::uint64_t first;
    std::uint64_t last;
    std::uint64_t target;
    Access permission;
  };

  struct EntryList;
  static Entry upto(Entry entry, std::uint64_t last);
  static Entry from(Entry entry, std::uint64_t first);
  [[nodiscard]] std::size_t lower_bound(std::uint64_t iova) const;
  void replace(std::size_t begin, std::size_t end, std::span<const Entry> fresh);

  std::vector<Entry> entries_;  // ascending, disjoint
  std::size_t max_entries_;
};

/// An Iotlb that one thread changes while others translate with it.
class IotlbTranslator final : public Translator {
 public:
  /// As that of Iotlb.
  explicit IotlbTranslator(std::size_t max_entries = Iotlb::kDefaultMaxEntries)
      : iotlb_(max_entries) {}

  [[nodiscard]] Result<Segment, MemoryError> translate(Iova iova, std::uint64_t bytes,
                                                       Access access) override;
  /// As the functions of Iotlb. When they return, no translation of before is made any more;
  /// accesses that have one already may still be under way.
  Result<void, IotlbError> set_mapping(IovaRange range, GuestAddress target, Access permission);
  ///@{
  /// As those of Iotlb, for which see set_mapping().
  void invalidate(IovaRange range);
  void invalidate_all();
  [[nodiscard]] IotlbFaults faults(IovaRange range, Access access) const;
  ///@}

 private:
  mutable Mutex mutex_;
  Iotlb iotlb_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vm_memory
