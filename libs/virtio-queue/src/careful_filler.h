// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <limits>

#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/chain_filler.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/queue_error.h"

namespace vmm::virtio_queue::detail {

/// Fills a chain on the careful walks, which know all of guest RAM and every reason to refuse.
class CarefulFiller {
 public:
  CarefulFiller(Chain& chain, const Ram& ram, Window& window)
      : chain_(chain), ram_(ram), memory_(ram.view()), window_(window) {}

  /// Errors: kBadOrder, kTooLong, kBadMemory, kMissing, kTooManyPieces.
  Result<void, QueueError> add(std::uint64_t address, std::uint32_t length, bool writable) {
    if (writable_ && !writable) return fail(QueueError::kBadOrder);
    if (writable && !writable_) turn();
    total_ += length;
    if (total_ > std::numeric_limits<std::uint32_t>::max()) return fail(QueueError::kTooLong);
    if (length == 0) return {};  // whatever its address
    if (!window_.reaches(memory_, address, length)) return add_across(address, length);
    return put(window_.at(address), length);
  }
  void finish() {
    if (!writable_) turn();
    chain_.sizes_.writable = size() - chain_.sizes_.readable;
    chain_.bytes_.writable = static_cast<std::uint32_t>(total_) - chain_.bytes_.readable;
  }

 private:
  Result<void, QueueError> put(std::byte* host, std::size_t length) {
    if (count_ == chain_.capacity()) return fail(QueueError::kTooManyPieces);
    chain_.pieces_[count_++] = {host, length};
    return {};
  }
  /// A buffer that is not in one region.
  Result<void, QueueError> add_across(std::uint64_t address, std::uint32_t length) {
    if (ram_.translated()) return add_translated(address, length);
    for (auto walk = memory_.slices(GuestAddress(address), length); !walk.done();) {
      const auto slice = walk.next();
      if (!slice) return fail(QueueError::kBadMemory);
      VMM_TRY_DO(put(static_cast<std::byte*>(slice->unsafe_iovec().base), slice->size()));
    }
    return {};
  }
  Result<void, QueueError> add_translated(std::uint64_t address, std::uint64_t length) {
    using vm_memory::Access;
    while (length != 0) {
      VMM_TRY(const auto slice,
              ram_.translate(address, length, writable_ ? Access::kWrite : Access::kRead));
      VMM_TRY_DO(put(static_cast<std::byte*>(slice.unsafe_iovec().base), slice.size()));
      address += slice.size();
      length -= slice.size();
    }
    return {};
  }
  void turn() {
    writable_ = true;
    chain_.sizes_.readable = size();
    chain_.bytes_.readable = static_cast<std::uint32_t>(total_);
  }
  [[nodiscard]] std::uint32_t size() const {
    return static_cast<std::uint32_t>(count_ * sizeof(IoVec));
  }

  Chain& chain_;
  const Ram& ram_;
  vm_memory::MemoryView memory_;
  Window& window_;
  std::uint64_t total_ = 0;
  std::uint32_t count_ = 0;
  bool writable_ = false;
};

}  // namespace vmm::virtio_queue::detail
