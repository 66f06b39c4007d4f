// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "split_walk.h"

#include <algorithm>
#include <optional>

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

bool SplitWalk::fast(Chain& chain, const std::byte* table, std::uint32_t size, const Ram& ram,
                     Window& window) {
  IoVec* const first = chain.pieces_;
  IoVec* out = first;
  IoVec* end = first + std::min(chain.capacity_, size);
  std::uint32_t table_bytes = size * kDescriptorBytes;
  std::uint64_t total = 0;
  bool direct = true;
  const auto add = [&](const Raw& raw) {
    std::byte* const host = find_host(ram, window, raw.address, raw.length);
    if (host == nullptr) [[unlikely]]
      return false;
    *out++ = {host, raw.length};
    total += raw.length;
    return true;
  };
  const auto has_next = [&](const Raw& raw) {
    return raw.next_offset() < table_bytes && out != end;
  };

  Raw raw(table + std::size_t{chain.head_} * kDescriptorBytes);
  for (;;) {
    if (raw.flags() == kDescNext) [[likely]] {
      if (!add(raw) || !has_next(raw)) [[unlikely]]
        return false;
      raw = Raw(table + raw.next_offset());
    } else if ((raw.flags() & ~kDescWrite) == kDescIndirect && direct) {
      table = find_table(ram, window, raw.address, raw.length);
      if (table == nullptr) return false;
      direct = false;
      table_bytes = raw.length;
      end = out + std::min<std::size_t>(static_cast<std::size_t>(first + chain.capacity_ - out),
                                        table_bytes / kDescriptorBytes);
      raw = Raw(table);
    } else {
      break;
    }
  }
  if (raw.flags() == 0) {
    if (!add(raw)) [[unlikely]]
      return false;
    chain.readable_count_ = static_cast<std::uint32_t>(out - first);
    chain.readable_bytes_ = static_cast<std::uint32_t>(total);
  } else {
    chain.readable_count_ = static_cast<std::uint32_t>(out - first);
    chain.readable_bytes_ = static_cast<std::uint32_t>(total);
    for (;;) {
      if ((raw.flags() & ~kDescNext) != kDescWrite || !add(raw)) [[unlikely]]
        return false;
      if ((raw.flags() & kDescNext) == 0) break;
      if (!has_next(raw)) [[unlikely]]
        return false;
      raw = Raw(table + raw.next_offset());
    }
  }
  chain.writable_count_ = static_cast<std::uint32_t>(out - first) - chain.readable_count_;
  chain.writable_bytes_ = static_cast<std::uint32_t>(total) - chain.readable_bytes_;
  return total <= std::numeric_limits<std::uint32_t>::max();
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
