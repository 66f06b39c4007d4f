// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::virtio_queue::detail {

/// One state of guest RAM, kept mapped. Stays at its address, as chains refer to it.
class Ram {
 public:
  explicit Ram(std::shared_ptr<const vm_memory::RegionMap> map);
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  /// What the driver's addresses lead to directly; nothing when they are translated().
  [[nodiscard]] vm_memory::MemoryView view() const { return view_; }
  /// Whether the driver's addresses are I/O addresses.
  [[nodiscard]] bool translated() const { return map_->translation() != nullptr; }
  /// One piece of memory at the driver's address, for this access. Errors: kBadMemory; kMissing,
  /// and the mapping was asked for.
  [[nodiscard]] Result<vm_memory::GuestSlice, QueueError> slice(std::uint64_t address,
                                                                std::uint64_t bytes,
                                                                vm_memory::Access access) const;
  /// The first piece of it, of as many bytes as are in one region. Errors: as slice().
  /// Precondition: translated(), bytes is not 0.
  [[nodiscard]] Result<vm_memory::GuestSlice, QueueError> translate(std::uint64_t address,
                                                                    std::uint64_t bytes,
                                                                    vm_memory::Access access) const;
  /// Whether any region has a dirty bitmap.
  [[nodiscard]] bool tracked() const { return tracked_; }
  /// Lets go of where I/O addresses lead; the memory stays mapped. Nothing is looked up any more.
  void forget_translation() {
    if (translated()) map_ = physical_;
  }
  /// Marks host bytes of one region as written.
  void mark(const void* host, std::size_t bytes) const {
    if (tracked_) [[unlikely]]
      mark_slowly(host, bytes);
  }

 private:
  void mark_slowly(const void* host, std::size_t bytes) const;
  [[nodiscard]] vm_memory::DirtyWindow dirty_at(const void* host) const;

  std::shared_ptr<const vm_memory::RegionMap> map_;
  const std::shared_ptr<const vm_memory::RegionMap> physical_;  // map_, or what it leads to
  vm_memory::MemoryView view_;
  bool tracked_ = false;
};

/// The region that served the last buffer: the next one is probably there too, whatever the number
/// of regions.
struct Window {
  /// What chains usually stay below.
  static constexpr std::uint64_t kUsualBytes = 8 << 20;

  std::uint64_t base = 0;
  std::uint64_t bytes = 0;  // below 2^63
  /// kUsualBytes, or half of a small window.
  std::uint64_t usual = 0;
  /// A buffer of at most `usual` bytes that starts at an offset below this one is all in the
  /// window.
  std::uint64_t inside = 0;
  std::byte* host = nullptr;

  /// Whether a buffer of less than 2^32 bytes is all inside of the window.
  [[nodiscard]] bool holds(std::uint64_t address, std::uint64_t length) const {
    const std::uint64_t offset = address - base;
    // Not negative, so that offset + length does not wrap.
    return static_cast<std::int64_t>(offset) >= 0 && offset + length <= bytes;
  }
  /// The host address of a buffer. Precondition: holds() it.
  [[nodiscard]] std::byte* at(std::uint64_t address) const { return host + (address - base); }
  /// holds(), where the window may move to another region.
  [[nodiscard]] bool reaches(const vm_memory::MemoryView& memory, std::uint64_t address,
                             std::uint32_t length) {
    if (holds(address, length)) [[likely]]
      return true;
    return move_to(memory, address) && holds(address, length);
  }

 private:
  /// Makes the region that holds `address` the window. False when there is none.
  bool move_to(const vm_memory::MemoryView& memory, std::uint64_t address);
};

}  // namespace vmm::virtio_queue::detail
