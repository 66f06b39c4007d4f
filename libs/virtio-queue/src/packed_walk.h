// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a list of descriptors of a packed ring: virtio 1.3, 2.8.5 to
// 2.8.7. As with split rings, the fast walk declines what the careful one then decides.

#include <cstdint>

#include "chain_filler.h"
#include "raw_descriptor.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"

namespace vmm::virtio_queue::detail {

/// What a walk needs to know of a ring, and where it is in it.
struct PackedPlace {
  const std::byte* begin;
  const std::byte* end;
  const std::byte* at;
  std::uint16_t available;  // AVAIL and USED of a descriptor here

  [[nodiscard]] std::uint16_t flags() const { return load<std::uint16_t>(at + 14); }
  [[nodiscard]] std::uint64_t address() const { return load<std::uint64_t>(at); }
  [[nodiscard]] std::uint64_t length() const { return load_wide<std::uint32_t>(at + 8); }
  [[nodiscard]] std::uint16_t id() const { return load<std::uint16_t>(at + 12); }
  void go_on() {
    at += kDescriptorBytes;
    if (at != end) [[likely]]
      return;
    at = begin;
    available ^= kDescAvail | kDescUsed;
  }
};

/// What a list is, apart from its pieces.
struct PackedList {
  std::uint16_t id = 0;
  std::uint32_t bytes = 0;  // of descriptors in the ring
};

/// Adds the descriptors from here on with exactly kFlags, up to the first other one.
template <std::uint16_t kFlags>
[[gnu::always_inline]] inline bool add_run(PackedPlace& place, ChainFiller& filler) {
  while (place.flags() == (place.available | kFlags)) {
    if (!filler.add(place.address(), place.length()) || filler.is_full()) return false;
    place.go_on();
  }
  return true;
}

/// Of a descriptor in an indirect table only WRITE matters (2.8.7).
[[gnu::always_inline]] inline bool packed_walk_table(const std::byte* at, std::uint32_t bytes,
                                                     ChainFiller& filler) {
  constexpr std::uint16_t kSpecial = kDescWrite | kDescIndirect;
  const std::byte* const end = at + bytes;
  const auto add_run_of = [&](std::uint16_t flags) {
    for (; at != end && (load<std::uint16_t>(at + 14) & kSpecial) == flags;
         at += kDescriptorBytes) {
      if (filler.is_full()) return false;
      if (!filler.add(load<std::uint64_t>(at), load_wide<std::uint32_t>(at + 8))) return false;
    }
    return true;
  };
  if (!add_run_of(0)) return false;
  filler.turn();
  return add_run_of(kDescWrite) && at == end && filler.finish(bytes);
}

[[gnu::always_inline]] inline bool packed_walk(Chain& chain, PackedPlace place,
                                               const Window& window, PackedList& list) {
  ChainFiller filler(chain, window);
  if (!add_run<kDescNext>(place, filler)) return false;
  const auto kind = static_cast<std::uint16_t>(place.flags() ^ place.available);
  if (kind == kDescIndirect) {
    list = {.id = place.id(), .bytes = kDescriptorBytes};
    const auto bytes = static_cast<std::uint32_t>(place.length());
    if (filler.size() != 0 || !is_good_table(bytes)) return false;
    const std::byte* const table = filler.table(place.address(), bytes);
    return table != nullptr && packed_walk_table(table, bytes, filler);
  }
  if (kind != 0) {
    filler.turn();
    if (!add_run < kDescNext | kDescWrite > (place, filler)) return false;
    if (place.flags() != (place.available | kDescWrite)) [[unlikely]]
      return false;
  }
  if (!filler.add(place.address(), place.length())) return false;
  if (kind == 0) filler.turn();
  static_assert(sizeof(IoVec) == kDescriptorBytes);
  list = {.id = place.id(), .bytes = filler.size()};
  return filler.finish(static_cast<std::uint32_t>(place.end - place.begin));
}

/// Also fills in `list` of malformed ones.
Result<void, QueueError> packed_walk_carefully(Chain& chain, PackedPlace place, const Ram& ram,
                                               Window& window, PackedList& list);

}  // namespace vmm::virtio_queue::detail
