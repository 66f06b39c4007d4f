// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "packed_walk.h"

#include <algorithm>
#include <limits>

#include "chain_builder.h"
#include "find_host.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
namespace {

/// A descriptor, each field read once.
struct Raw {
  std::uint64_t address;
  std::uint32_t length;
  std::uint32_t rest;  // id, and flags in the upper half

  explicit Raw(const std::byte* at)
      : address(load<std::uint64_t>(at)),
        length(load<std::uint32_t>(at + 8)),
        rest(load<std::uint32_t>(at + 12)) {}

  [[nodiscard]] std::uint16_t id() const { return static_cast<std::uint16_t>(rest); }
  [[nodiscard]] std::uint16_t flags() const { return static_cast<std::uint16_t>(rest >> 16); }
  [[nodiscard]] std::uint16_t kind() const {
    return flags() & (kDescNext | kDescWrite | kDescIndirect);
  }
};

/// Pieces of a list of descriptors, as long as they are ordinary ones.
struct Pieces {
  IoVec* out;
  std::uint64_t total;

  bool add(const Ram& ram, Window& window, const Raw& raw) {
    std::byte* const host = find_host(ram, window, raw.address, raw.length);
    if (host == nullptr) [[unlikely]]
      return false;
    *out++ = {host, raw.length};
    total += raw.length;
    return true;
  }
};

}  // namespace

bool PackedWalk::fast(Chain& chain, const Ring& ring, const Ram& ram, Window& window) {
  IoVec* const first = chain.pieces_;
  IoVec* const end = first + std::min(chain.capacity_, ring.size);
  const std::byte* const stop = ring.descriptors + std::size_t{ring.size} * kDescriptorBytes;
  const std::byte* at = ring.descriptors + std::size_t{ring.at} * kDescriptorBytes;
  // What the upper half says in the middle of a readable list that does not reach the ring's end.
  const std::uint32_t usual = (ring.avail_bits >> 16) | kDescNext;
  Pieces pieces{first, 0};
  Raw raw(at);
  while (raw.flags() == usual || raw.kind() == kDescNext) {
    if (!pieces.add(ram, window, raw) || pieces.out == end) [[unlikely]]
      return false;
    at += kDescriptorBytes;
    if (at == stop) [[unlikely]]
      at = ring.descriptors;
    raw = Raw(at);
  }
  chain.readable_count_ = static_cast<std::uint32_t>(pieces.out - first);
  std::uint32_t count = chain.readable_count_ + 1;
  if ((raw.kind() & kDescIndirect) != 0) {
    if ((raw.kind() & kDescNext) != 0) return false;
    chain.head_ = raw.id();
    chain.descriptors_ = static_cast<std::uint16_t>(count);
    const std::byte* const table = find_table(ram, window, raw.address, raw.length);
    if (table == nullptr) return false;
    return fast_table(chain, table, raw.length / kDescriptorBytes, ram, window, pieces.out,
                      pieces.total);
  }
  chain.readable_bytes_ = static_cast<std::uint32_t>(pieces.total);
  if (raw.kind() == 0) {
    if (!pieces.add(ram, window, raw)) return false;
    ++chain.readable_count_;
    chain.readable_bytes_ = static_cast<std::uint32_t>(pieces.total);
  } else {
    for (;; ++count) {
      if ((raw.kind() & ~kDescNext) != kDescWrite || !pieces.add(ram, window, raw)) return false;
      if ((raw.kind() & kDescNext) == 0) break;
      if (pieces.out == end) return false;
      at += kDescriptorBytes;
      if (at == stop) [[unlikely]]
        at = ring.descriptors;
      raw = Raw(at);
    }
  }
  chain.head_ = raw.id();
  chain.descriptors_ = static_cast<std::uint16_t>(count);
  chain.writable_count_ = static_cast<std::uint32_t>(pieces.out - first) - chain.readable_count_;
  chain.writable_bytes_ = static_cast<std::uint32_t>(pieces.total) - chain.readable_bytes_;
  return pieces.total <= std::numeric_limits<std::uint32_t>::max();
}

/// Of a descriptor in an indirect table only WRITE matters (2.8.7).
bool PackedWalk::fast_table(Chain& chain, const std::byte* table, std::uint32_t count,
                            const Ram& ram, Window& window, IoVec* out, std::uint64_t total) {
  IoVec* const first = chain.pieces_;
  if (count > chain.capacity_ - static_cast<std::uint32_t>(out - first)) return false;
  const std::byte* const stop = table + std::size_t{count} * kDescriptorBytes;
  Pieces pieces{out, total};
  constexpr std::uint16_t kSpecial = kDescWrite | kDescIndirect;
  for (; table != stop; table += kDescriptorBytes) {
    const Raw raw(table);
    if ((raw.flags() & kSpecial) != 0) break;
    if (!pieces.add(ram, window, raw)) [[unlikely]]
      return false;
  }
  chain.readable_count_ = static_cast<std::uint32_t>(pieces.out - first);
  chain.readable_bytes_ = static_cast<std::uint32_t>(pieces.total);
  for (; table != stop; table += kDescriptorBytes) {
    const Raw raw(table);
    if ((raw.flags() & kSpecial) != kDescWrite || !pieces.add(ram, window, raw)) [[unlikely]]
      return false;
  }
  chain.writable_count_ = static_cast<std::uint32_t>(pieces.out - first) - chain.readable_count_;
  chain.writable_bytes_ = static_cast<std::uint32_t>(pieces.total) - chain.readable_bytes_;
  return pieces.total <= std::numeric_limits<std::uint32_t>::max();
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
