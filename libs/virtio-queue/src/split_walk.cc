// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "split_walk.h"

#include <algorithm>
#include <optional>

#include "chain_builder.h"
#include "find_host.h"
#include "pieces.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
namespace {

/// A descriptor, each field read once.
struct Raw {
  std::uint64_t address;
  std::uint32_t length;
  std::uint32_t rest;  // flags, and next in the upper half

  explicit Raw(const std::byte* at)
      : address(load<std::uint64_t>(at)),
        length(load<std::uint32_t>(at + 8)),
        rest(load<std::uint32_t>(at + 12)) {}

  [[nodiscard]] std::uint16_t flags() const { return static_cast<std::uint16_t>(rest); }
  /// Where the next one is. Precondition: flags() is below 2^12.
  [[nodiscard]] std::uint32_t next_offset() const { return rest >> 12; }
};

}  // namespace

namespace {

/// Where a fast walk is.
struct Place {
  const std::byte* table;
  std::uint32_t table_bytes;
};

/// Adds the descriptors from `raw` on whose flags are exactly kFlags, and leaves the first other
/// one in `raw`.
template <std::uint16_t kFlags>
[[gnu::always_inline]] inline bool add_run(Raw& raw, const Place& place, Pieces& pieces,
                                           const Ram& ram, Window& window) {
  while (raw.flags() == kFlags) {
    if (pieces.full() || !pieces.add(ram, window, raw.address, raw.length)) return false;
    if (raw.next_offset() >= place.table_bytes) [[unlikely]]
      return false;
    raw = Raw(place.table + raw.next_offset());
  }
  return true;
}

}  // namespace

bool SplitWalk::fast(Chain& chain, const std::byte* table, std::uint32_t size, const Ram& ram,
                     Window& window) {
  IoVec* const first = chain.pieces_;
  Pieces pieces(first, first + std::min(chain.capacity_, size), window);
  Place place{table, size * kDescriptorBytes};
  Raw raw(table + std::size_t{chain.head_} * kDescriptorBytes);
  if (!add_run<kDescNext>(raw, place, pieces, ram, window)) return false;
  if ((raw.flags() & ~kDescWrite) == kDescIndirect) {
    place = {find_table(ram, window, raw.address, raw.length), raw.length};
    if (place.table == nullptr) return false;
    pieces.limit(first + chain.capacity_, place.table_bytes / kDescriptorBytes);
    pieces.look_through(window);
    raw = Raw(place.table);
    if (!add_run<kDescNext>(raw, place, pieces, ram, window)) return false;
  }
  chain.readable_count_ = pieces.count(first);
  chain.readable_bytes_ = pieces.bytes();
  if (!add_run < kDescNext | kDescWrite > (raw, place, pieces, ram, window)) return false;
  if ((raw.flags() & ~kDescWrite) != 0 || pieces.full()) [[unlikely]]
    return false;
  if (!pieces.add(ram, window, raw.address, raw.length)) [[unlikely]]
    return false;
  if (raw.flags() == 0) {
    if (pieces.count(first) != chain.readable_count_ + 1) [[unlikely]]
      return false;  // readable after writable
    chain.readable_count_ = pieces.count(first);
    chain.readable_bytes_ = pieces.bytes();
  }
  chain.writable_count_ = pieces.count(first) - chain.readable_count_;
  chain.writable_bytes_ = pieces.bytes() - chain.readable_bytes_;
  return pieces.is_short();
}

namespace {

/// The table that a walk is in: the queue's own or an indirect one, of any alignment.
struct Table {
  vm_memory::GuestSlice slice;
  std::uint32_t entries;
  bool indirect;
};

/// Errors: kBadIndirect, kBadMemory.
Result<Table, QueueError> enter(const SplitDescriptor& raw, const Ram& ram, bool nested) {
  if (nested || (raw.flags.get() & kDescNext) != 0 || !is_good_table(raw.length.get())) {
    return fail(QueueError::kBadIndirect);
  }
  const auto slice = ram.view().slice(GuestAddress(raw.address.get()), raw.length.get());
  if (!slice) return fail(QueueError::kBadMemory);
  return Table{*slice, raw.length.get() / kDescriptorBytes, true};
}

/// Goes from one descriptor to the next.
class Steps {
 public:
  Steps(const std::byte* table, std::uint32_t size, std::uint16_t head, const Ram& ram)
      : ram_(ram),
        table_{vm_memory::GuestSlice(std::span<std::byte>(const_cast<std::byte*>(table),
                                                          std::size_t{size} * kDescriptorBytes)),
               size, false},
        at_(head),
        left_(size) {}

  /// The next descriptor of a buffer; none at the end.
  Result<std::optional<SplitDescriptor>, QueueError> next() {
    if (done_) return std::optional<SplitDescriptor>();
    for (;;) {
      if (left_-- == 0) return fail(QueueError::kLoop);
      const auto read = table_.slice.read<SplitDescriptor>(std::size_t{at_} * kDescriptorBytes);
      if (!read) return fail(QueueError::kBadNext);
      const std::uint16_t flags = read->flags.get();
      if ((flags & kDescIndirect) != 0) {
        VMM_TRY(table_, enter(*read, ram_, table_.indirect));
        at_ = 0;
        left_ = table_.entries;
        continue;
      }
      done_ = (flags & kDescNext) == 0;
      at_ = read->next.get();
      if (!done_ && at_ >= table_.entries) return fail(QueueError::kBadNext);
      return std::optional(*read);
    }
  }

 private:
  const Ram& ram_;
  Table table_;
  std::uint32_t at_;
  std::uint32_t left_;  // descriptors that this table may still yield
  bool done_ = false;
};

}  // namespace

Result<void, QueueError> SplitWalk::carefully(Chain& chain, const std::byte* table,
                                              std::uint32_t size, const Ram& ram) {
  ChainBuilder builder({chain.pieces_, chain.capacity_}, ram);
  Steps steps(table, size, chain.head_, ram);
  for (;;) {
    VMM_TRY(const auto descriptor, steps.next());
    if (!descriptor) break;
    const bool writable = (descriptor->flags.get() & kDescWrite) != 0;
    VMM_TRY_DO(builder.add(descriptor->address.get(), descriptor->length.get(), writable));
  }
  chain.readable_count_ = builder.readable_count();
  chain.readable_bytes_ = builder.readable_bytes();
  chain.writable_count_ = builder.count() - builder.readable_count();
  chain.writable_bytes_ = builder.bytes() - builder.readable_bytes();
  return {};
}

}  // namespace vmm::virtio_queue::detail
