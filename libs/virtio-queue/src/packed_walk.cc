// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/packed_walk.h"

#include "careful_filler.h"

namespace vmm::virtio_queue::detail {
namespace {

/// Errors: kBadIndirect, kBadMemory, kMissing; those of CarefulFiller::add().
Result<void, QueueError> add_table(CarefulFiller& filler, const RawPacked& raw, const Ram& ram) {
  if ((raw.flags & kDescNext) != 0 || !is_good_table(raw.length)) {
    return fail(QueueError::kBadIndirect);
  }
  VMM_TRY(const auto table, ram.slice(raw.address, raw.length, vm_memory::Access::kRead));
  for (std::uint32_t at = 0; at < raw.length; at += kDescriptorBytes) {
    const auto read = table.read<PackedDescriptor>(at);
    if (!read) return fail(QueueError::kBadMemory);
    const std::uint16_t flags = read->flags.get();
    if ((flags & kDescIndirect) != 0) return fail(QueueError::kBadIndirect);
    VMM_TRY_DO(filler.add(read->address.get(), read->length.get(), (flags & kDescWrite) != 0));
  }
  return {};
}

Result<void, QueueError> add_one(CarefulFiller& filler, const RawPacked& raw, const Ram& ram) {
  if ((raw.flags & kDescIndirect) != 0) return add_table(filler, raw, ram);
  return filler.add(raw.address, raw.length, (raw.flags & kDescWrite) != 0);
}

}  // namespace

Result<void, QueueError> packed_walk_carefully(Chain& chain, PackedPlace place, const Ram& ram,
                                               Window& window, PackedList& list) {
  CarefulFiller filler(chain, ram, window);
  Result<void, QueueError> result;
  const auto ring_bytes = static_cast<std::uint32_t>(place.end - place.begin);
  list.bytes = 0;
  // A malformed list is read to its end too: only there are its id and the next list.
  for (bool more = true; more;) {
    const RawPacked raw(place.at);
    if (result) result = add_one(filler, raw, ram);
    list.id = raw.id;
    list.bytes += kDescriptorBytes;
    more = (raw.flags & kDescNext) != 0;
    if (more && list.bytes == ring_bytes) {
      result = fail(QueueError::kLoop);
      break;
    }
    place.go_on();
  }
  filler.finish();
  return result;
}

}  // namespace vmm::virtio_queue::detail
