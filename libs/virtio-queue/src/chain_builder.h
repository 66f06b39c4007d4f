// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <limits>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue::detail {

/// Collects the pieces of a chain and checks what both kinds of ring ask of it.
class ChainBuilder {
 public:
  ChainBuilder(std::span<vm_memory::IoVec> storage, const Ram& ram)
      : storage_(storage), memory_(ram.view()) {}

  /// Errors: kBadOrder, kTooLong, kBadMemory, kTooManyPieces.
  Result<void, QueueError> add(std::uint64_t address, std::uint32_t length, bool writable) {
    if (!writable && writable_) return fail(QueueError::kBadOrder);
    if (writable && !writable_) {
      writable_ = true;
      readable_count_ = count_;
      readable_bytes_ = total_;
    }
    total_ += length;
    if (total_ > std::numeric_limits<std::uint32_t>::max()) return fail(QueueError::kTooLong);
    for (auto walk = memory_.slices(GuestAddress(address), length); !walk.done();) {
      const auto slice = walk.next();
      if (!slice) return fail(QueueError::kBadMemory);
      if (count_ == storage_.size()) return fail(QueueError::kTooManyPieces);
      storage_[count_++] = slice->unsafe_iovec();
    }
    return {};
  }

  [[nodiscard]] std::uint32_t readable_count() const {
    return writable_ ? readable_count_ : count_;
  }
  [[nodiscard]] std::uint32_t readable_bytes() const {
    return static_cast<std::uint32_t>(writable_ ? readable_bytes_ : total_);
  }
  [[nodiscard]] std::uint32_t count() const { return count_; }
  [[nodiscard]] std::uint32_t bytes() const { return static_cast<std::uint32_t>(total_); }

 private:
  std::span<vm_memory::IoVec> storage_;
  vm_memory::MemoryView memory_;
  std::uint64_t total_ = 0;
  std::uint64_t readable_bytes_ = 0;
  std::uint32_t count_ = 0;
  std::uint32_t readable_count_ = 0;
  bool writable_ = false;
};

}  // namespace vmm::virtio_queue::detail
