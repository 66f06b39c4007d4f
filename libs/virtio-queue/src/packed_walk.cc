// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "packed_walk.h"

#include <algorithm>

#include "chain_builder.h"
#include "find_host.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
using Raw = RawPacked;

bool PackedWalk::fast(Chain& chain, const Ring& ring, const Ram& ram, Window& window) {
  IoVec* const first = chain.pieces_;
  Pieces pieces(first, first + std::min(chain.capacity_, ring.size), window);
  const std::byte* const stop = ring.descriptors + std::size_t{ring.size} * kDescriptorBytes;
  const std::byte* at = ring.descriptors + std::size_t{ring.at} * kDescriptorBytes;
  // What the upper half says in the middle of a readable list that does not reach the ring's end.
  const std::uint32_t usual = (ring.avail_bits >> 16) | kDescNext;
  Raw raw(at);
  while (raw.flags() == usual || raw.kind() == kDescNext) {
    if (!pieces.add(ram, window, raw.address, raw.length) || pieces.full()) [[unlikely]]
      return false;
    at += kDescriptorBytes;
    if (at == stop) [[unlikely]]
      at = ring.descriptors;
    raw = Raw(at);
  }
  chain.readable_count_ = pieces.count(first);
  chain.readable_bytes_ = pieces.bytes();
  if ((raw.kind() & kDescIndirect) != 0) return fast_table(chain, raw, ram, window, pieces);
  while (raw.kind() == (kDescWrite | kDescNext)) {
    if (!pieces.add(ram, window, raw.address, raw.length) || pieces.full()) [[unlikely]]
      return false;
    at += kDescriptorBytes;
    if (at == stop) [[unlikely]]
      at = ring.descriptors;
    raw = Raw(at);
  }
  if ((raw.kind() & ~kDescWrite) != 0) [[unlikely]]
    return false;
  if (!pieces.add(ram, window, raw.address, raw.length)) [[unlikely]]
    return false;
  if (raw.kind() == 0) {
    if (pieces.count(first) != chain.readable_count_ + 1) [[unlikely]]
      return false;  // readable after writable
    chain.readable_count_ = pieces.count(first);
    chain.readable_bytes_ = pieces.bytes();
  }
  chain.head_ = raw.id();
  chain.descriptors_ = static_cast<std::uint16_t>(pieces.count(first));
  chain.writable_count_ = pieces.count(first) - chain.readable_count_;
  chain.writable_bytes_ = pieces.bytes() - chain.readable_bytes_;
  return pieces.is_short();
}

/// Of a descriptor in an indirect table only WRITE matters (2.8.7).
bool PackedWalk::fast_table(Chain& chain, const Raw& indirect, const Ram& ram, Window& window,
                            Pieces pieces) {
  if ((indirect.kind() & kDescNext) != 0) return false;
  const std::byte* table = find_table(ram, window, indirect.address, indirect.length);
  const std::uint32_t count = indirect.length / kDescriptorBytes;
  if (table == nullptr || count > chain.capacity_ - chain.readable_count_) return false;
  pieces.look_through(window);
  chain.head_ = indirect.id();
  chain.descriptors_ = static_cast<std::uint16_t>(chain.readable_count_ + 1);
  IoVec* const first = chain.pieces_;
  const std::byte* const stop = table + indirect.length;
  constexpr std::uint16_t kSpecial = kDescWrite | kDescIndirect;
  for (; table != stop; table += kDescriptorBytes) {
    const Raw raw(table);
    if ((raw.flags() & kSpecial) != 0) break;
    if (!pieces.add(ram, window, raw.address, raw.length)) [[unlikely]]
      return false;
  }
  chain.readable_count_ = pieces.count(first);
  chain.readable_bytes_ = pieces.bytes();
  for (; table != stop; table += kDescriptorBytes) {
    const Raw raw(table);
    if ((raw.flags() & kSpecial) != kDescWrite) [[unlikely]]
      return false;
    if (!pieces.add(ram, window, raw.address, raw.length)) [[unlikely]]
      return false;
  }
  chain.writable_count_ = pieces.count(first) - chain.readable_count_;
  chain.writable_bytes_ = pieces.bytes() - chain.readable_bytes_;
  return pieces.is_short();
}

namespace {

/// Errors: kBadIndirect, kBadMemory; those of ChainBuilder::add().
Result<void, QueueError> add_table(ChainBuilder& builder, const Raw& raw, const Ram& ram) {
  if ((raw.kind() & kDescNext) != 0 || !is_good_table(raw.length)) {
    return fail(QueueError::kBadIndirect);
  }
  const auto table = ram.view().slice(GuestAddress(raw.address), raw.length);
  if (!table) return fail(QueueError::kBadMemory);
  for (std::uint32_t at = 0; at < raw.length; at += kDescriptorBytes) {
    const auto read = table->read<PackedDescriptor>(at);
    if (!read) return fail(QueueError::kBadMemory);
    const std::uint16_t flags = read->flags.get();
    if ((flags & kDescIndirect) != 0) return fail(QueueError::kBadIndirect);
    VMM_TRY_DO(builder.add(read->address.get(), read->length.get(), (flags & kDescWrite) != 0));
  }
  return {};
}

Result<void, QueueError> add_one(ChainBuilder& builder, const Raw& raw, const Ram& ram) {
  if ((raw.kind() & kDescIndirect) != 0) return add_table(builder, raw, ram);
  return builder.add(raw.address, raw.length, (raw.kind() & kDescWrite) != 0);
}

}  // namespace

Result<void, QueueError> PackedWalk::carefully(Chain& chain, const Ring& ring, const Ram& ram) {
  ChainBuilder builder({chain.pieces_, chain.capacity_}, ram);
  Result<void, QueueError> result;
  std::uint32_t at = ring.at;
  std::uint32_t count = 0;
  // A malformed list is read to its end too: only there are its id and the next list.
  for (bool more = true; more;) {
    const Raw raw(ring.descriptors + std::size_t{at} * kDescriptorBytes);
    if (result) result = add_one(builder, raw, ram);
    chain.head_ = raw.id();
    at = at + 1 == ring.size ? 0 : at + 1;
    more = (raw.kind() & kDescNext) != 0;
    if (++count == ring.size && more) {
      result = fail(QueueError::kLoop);
      break;
    }
  }
  chain.descriptors_ = static_cast<std::uint16_t>(count);
  chain.readable_count_ = builder.readable_count();
  chain.readable_bytes_ = builder.readable_bytes();
  chain.writable_count_ = builder.count() - builder.readable_count();
  chain.writable_bytes_ = builder.bytes() - builder.readable_bytes();
  return result;
}

}  // namespace vmm::virtio_queue::detail
