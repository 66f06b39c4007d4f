// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a list of descriptors of a packed ring: virtio 1.3, 2.8.5 to
// 2.8.7. As with split rings, the fast walk declines what the careful one then decides.

#include <cstdint>

#include "chain_filler.h"
#include "raw_descriptor.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/ring_word.h"

namespace vmm::virtio_queue::detail {

/// Where a walk is in a ring, or in a copy of a part of one.
struct PackedPlace {
  const std::byte* begin;
  const std::byte* end;
  const std::byte* at;
  std::uint16_t available;  // AVAIL and USED of a descriptor here

  void go_on() {
    at += kDescriptorBytes;
    if (at != end) [[likely]]
      return;
    at = begin;
    available ^= kDescAvail | kDescUsed;
  }
};

/// The descriptor at a place, for the fast walk; each field is read once.
struct PackedHere {
  std::uint64_t address;
  std::uint64_t length;
  std::uint16_t kind;  // the flags but for those that say that it is available

  explicit PackedHere(const PackedPlace& place)
      : address(load<std::uint64_t>(place.at)),
        length(load_wide<std::uint32_t>(place.at + 8)),
        kind(load_flipped<std::uint16_t>(place.at + 14, place.available)) {}
};

/// What a list is, apart from its pieces.
struct PackedList {
  std::uint16_t id = 0;
  std::uint32_t bytes = 0;  // of descriptors in the ring
};

/// Adds the descriptors from here on with exactly these flags, up to the first other one.
template <std::uint16_t kFlags>
[[gnu::always_inline]] inline bool add_run(PackedPlace& place, PackedHere& here,
                                           ChainFiller& filler) {
  while (here.kind == kFlags) {
    if (!filler.add(here.address, here.length) || filler.is_full()) [[unlikely]]
      return false;
    place.go_on();
    here = PackedHere(place);
  }
  return true;
}

/// Of a descriptor in an indirect table only WRITE matters (2.8.7).
[[gnu::always_inline]] inline bool packed_walk_table(const std::byte* at, std::uint32_t bytes,
                                                     ChainFiller& filler) {
  std::uint16_t expected = 0;
  for (const std::byte* const end = at + bytes; at != end; at += kDescriptorBytes) {
    const auto flags = load<std::uint16_t>(at + 14);
    if ((flags & (kDescWrite | kDescIndirect)) != expected) {
      expected ^= kDescWrite;
      if ((flags & (kDescWrite | kDescIndirect)) != expected || expected == 0) return false;
      filler.turn();
    }
    if (filler.is_full()) return false;
    if (!filler.add(load<std::uint64_t>(at), load_wide<std::uint32_t>(at + 8))) return false;
  }
  if (expected == 0) filler.turn();
  return filler.finish(bytes);
}

[[gnu::always_inline]] inline bool packed_walk(Chain& chain, PackedPlace place,
                                               const Window& window, PackedList& list) {
  ChainFiller filler(chain, window);
  PackedHere here(place);
  if (!add_run<kDescNext>(place, here, filler)) return false;
  list.id = load<std::uint16_t>(place.at + 12);
  if (here.kind == kDescIndirect) {
    list.bytes = kDescriptorBytes;
    const auto bytes = static_cast<std::uint32_t>(here.length);
    if (filler.size() != 0 || !is_good_table(bytes)) return false;
    const std::byte* const table = filler.table(here.address, bytes);
    return table != nullptr && packed_walk_table(table, bytes, filler);
  }
  if (here.kind != 0) {
    filler.turn();
    if (!add_run < kDescNext | kDescWrite > (place, here, filler)) return false;
    if (here.kind != kDescWrite || !filler.add(here.address, here.length)) return false;
    list.id = load<std::uint16_t>(place.at + 12);
  } else {
    if (!filler.add(here.address, here.length)) return false;
    filler.turn();
  }
  static_assert(sizeof(IoVec) == kDescriptorBytes);
  list.bytes = filler.size();
  return filler.finish(static_cast<std::uint32_t>(place.end - place.begin));
}

/// Also fills in `list` of malformed ones.
Result<void, QueueError> packed_walk_carefully(Chain& chain, PackedPlace place, const Ram& ram,
                                               Window& window, PackedList& list);

}  // namespace vmm::virtio_queue::detail
