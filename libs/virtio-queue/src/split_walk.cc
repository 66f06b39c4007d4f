// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/split_walk.h"

#include <optional>

#include "careful_filler.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
namespace {

/// The table that a walk is in: the queue's own or an indirect one, of any alignment.
struct Table {
  vm_memory::GuestSlice slice;
  std::uint32_t entries;
  bool indirect;
};

/// Errors: kBadIndirect, kBadMemory, kMissing.
Result<Table, QueueError> enter(const SplitDescriptor& raw, const Ram& ram, bool nested) {
  if (nested || (raw.flags.get() & kDescNext) != 0 || !is_good_table(raw.length.get())) {
    return fail(QueueError::kBadIndirect);
  }
  VMM_TRY(const auto slice,
          ram.slice(raw.address.get(), raw.length.get(), vm_memory::Access::kRead));
  return Table{slice, raw.length.get() / kDescriptorBytes, true};
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

Result<void, QueueError> split_walk_carefully(Chain& chain, const std::byte* table,
                                              std::uint32_t size, const Ram& ram, Window& window) {
  CarefulFiller filler(chain, ram, window);
  Steps steps(table, size, chain.head(), ram);
  for (;;) {
    VMM_TRY(const auto descriptor, steps.next());
    if (!descriptor) break;
    const bool writable = (descriptor->flags.get() & kDescWrite) != 0;
    VMM_TRY_DO(filler.add(descriptor->address.get(), descriptor->length.get(), writable));
  }
  filler.finish();
  return {};
}

}  // namespace vmm::virtio_queue::detail
