// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::virtio_queue::detail {

/// One state of guest RAM, kept mapped. Stays at its address, as chains refer to it.
class Ram {
 public:
  explicit Ram(std::shared_ptr<const vm_memory::RegionMap> map);
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  [[nodiscard]] const vm_memory::RegionMap* map() const { return map_.get(); }
  [[nodiscard]] vm_memory::MemoryView view() const { return view_; }
  /// Whether any region has a dirty bitmap.
  [[nodiscard]] bool tracked() const { return tracked_; }
  /// Marks host bytes of one region as written.
  void mark(const void* host, std::size_t bytes) const {
    if (tracked_) [[unlikely]]
      mark_slowly(host, bytes);
  }

 private:
  void mark_slowly(const void* host, std::size_t bytes) const;

  std::shared_ptr<const vm_memory::RegionMap> map_;
  vm_memory::MemoryView view_;
  bool tracked_ = false;
};

/// The region that served the last buffer: the next one is probably there too, whatever the number
/// of regions.
struct Window {
  /// What chains usually stay below; see `inside`.
  static constexpr std::uint64_t kUsualBytes = 8 << 20;

  std::uint64_t base = 0;
  std::uint64_t bytes = 0;  // below 2^63
  /// A buffer of at most kUsualBytes bytes that starts at an offset below this one is all in the
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
