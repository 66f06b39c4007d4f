// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a list of descriptors of a packed ring: virtio 1.3, 2.8.5 to
// 2.8.7. As with split rings, the fast walk declines what the careful one then decides.

#include <cstdint>

#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/chain_filler.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/raw_descriptor.h"
#include "vmm/virtio_queue/detail/ring_word.h"

namespace vmm::virtio_queue::detail {

/// Where a careful walk is in a ring, or in a copy of a part of one.
struct PackedPlace {
  const std::byte* begin;
  const std::byte* end;
  const std::byte* at;

  void go_on() {
    at += kDescriptorBytes;
    if (at == end) at = begin;
  }
};

/// What a list is, apart from its pieces.
struct PackedList {
  std::uint64_t id = 0;
  std::uint32_t bytes = 0;  // of descriptors in the ring
};

/// The flags of descriptors that are available in this turn of the ring, of each kind that a list
/// without an indirect table has.
struct PackedKinds {
  std::uint16_t readable_next;
  std::uint16_t readable_last;
  std::uint16_t writable_next;
  std::uint16_t writable_last;

  /// `available`: AVAIL and USED of them.
  static constexpr PackedKinds of(std::uint16_t available) {
    const auto with = [&](unsigned kind) { return static_cast<std::uint16_t>(available | kind); };
    return {with(kDescNext), with(0), with(kDescNext | kDescWrite), with(kDescWrite)};
  }
};

/// A list of descriptors in one stretch of the ring, for the fast walk, which adds as many pieces
/// as it goes on by descriptors.
class PackedStretch {
 public:
  /// `flags`: the first one's, which were read.
  [[gnu::always_inline]] PackedStretch(const std::byte* first, std::uint16_t flags,
                                       const ChainFiller& filler)
      : end_(first + filler.room()), flags_(flags) {
    read_buffer(filler);
  }

  [[nodiscard]] bool is(std::uint16_t flags) const { return flags_ == flags; }
  [[nodiscard]] bool is_writable() const { return (flags_ & kDescWrite) != 0; }
  /// The id of the descriptor before the next one.
  [[nodiscard]] std::uint64_t id(const ChainFiller& filler) const {
    return load_wide<std::uint16_t>(end_ + filler.at() - 4);
  }

  /// Adds the descriptors from here on that have these flags, up to the first other one.
  [[gnu::always_inline]] bool add_run(ChainFiller& filler, std::uint16_t& flags) {
    if (!is(flags)) return true;
    do {
      if (!add_one(filler) || filler.is_full()) [[unlikely]]
        return false;
      read_buffer(filler);
      flags_ = load<std::uint16_t>(end_ + filler.at() + 14);
    } while (is(anew(flags)));  // not kept in a register, of which there are few
    return true;
  }
  [[gnu::always_inline]] bool add_one(ChainFiller& filler) const {
    return filler.add(address_, length_);
  }

 private:
  /// Each field is read once.
  [[gnu::always_inline]] void read_buffer(const ChainFiller& filler) {
    const std::byte* const here = end_ + filler.at();
    address_ = load<std::uint64_t>(here);
    length_ = load_wide<std::uint32_t>(here + 8);
  }

  const std::byte* end_;
  std::uint16_t flags_;
  std::uint64_t address_;
  std::uint64_t length_;
};

/// Of a descriptor in an indirect table only WRITE matters (2.8.7).
[[gnu::always_inline]] inline bool packed_walk_table(const std::byte* at, std::uint32_t bytes,
                                                     ChainFiller& filler) {
  std::uint16_t expected = 0;
  for (const std::byte* const end = at + bytes; at != end; at += kDescriptorBytes) {
    const auto flags = load<std::uint16_t>(at + 14);
    if ((flags & (kDescWrite | kDescIndirect)) != expected) {
      expected ^= kDescWrite;
      if ((flags & (kDescWrite | kDescIndirect)) != expected || expected == 0) return false;
      if (!filler.turn()) return false;
    }
    if (filler.is_full()) return false;
    if (!filler.add(load<std::uint64_t>(at), load_wide<std::uint32_t>(at + 8))) return false;
  }
  return (expected != 0 || filler.turn()) && filler.finish();
}

/// A list without an indirect table, in the `most` bytes of the ring from `first` on; `flags` as
/// for PackedStretch.
[[gnu::always_inline]] inline bool packed_walk(Chain& chain, const Window& window,
                                               const std::byte* first, std::uint64_t most,
                                               PackedKinds& kinds, std::uint16_t flags,
                                               PackedList& list) {
  ChainFiller filler(chain, window, most);
  PackedStretch stretch(first, flags, filler);
  if (!stretch.add_run(filler, kinds.readable_next)) return false;
  if (stretch.is_writable()) {
    if (!filler.turn() || !stretch.add_run(filler, kinds.writable_next)) return false;
    if (!stretch.is(kinds.writable_last) || !stretch.add_one(filler)) return false;
  } else {
    if (!stretch.is(kinds.readable_last) || !stretch.add_one(filler) || !filler.turn()) {
      return false;
    }
  }
  list = {.id = stretch.id(filler), .bytes = filler.size()};
  return filler.finish();
}

/// A list that is an indirect table.
[[gnu::always_inline]] inline bool packed_walk_indirect(Chain& chain, const Window& window,
                                                        const std::byte* at, PackedList& list) {
  const RawPacked raw(at);
  constexpr std::uint16_t kOthers = kDescNext | kDescWrite | kDescIndirect;
  if ((raw.flags & kOthers) != kDescIndirect || !is_good_table(raw.length)) return false;
  ChainFiller filler(chain, window, raw.length);
  const std::byte* const table = filler.table(raw.address, raw.length);
  list = {.id = raw.id, .bytes = kDescriptorBytes};
  return table != nullptr && packed_walk_table(table, raw.length, filler);
}

/// Also fills in `list` of malformed ones.
Result<void, QueueError> packed_walk_carefully(Chain& chain, PackedPlace place, const Ram& ram,
                                               Window& window, PackedList& list);

}  // namespace vmm::virtio_queue::detail
