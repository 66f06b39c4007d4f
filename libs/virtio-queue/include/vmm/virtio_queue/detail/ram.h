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
  std::uint64_t base = 0;
  std::uint64_t bytes = 0;  // below 2^63
  std::byte* host = nullptr;

  /// The host address of a buffer, or nullptr when it is not all inside of the window.
  [[nodiscard]] std::byte* find(std::uint64_t address, std::uint32_t length) const {
    const std::uint64_t offset = address - base;
    // Not negative, so that offset + length does not wrap.
    if (static_cast<std::int64_t>(offset) < 0) [[unlikely]]
      return nullptr;
    if (offset + length > bytes) [[unlikely]]
      return nullptr;
    return host + offset;
  }
  /// Makes the region that holds `address` the window. False when there is none.
  bool move_to(const vm_memory::MemoryView& memory, std::uint64_t address);
};

}  // namespace vmm::virtio_queue::detail
