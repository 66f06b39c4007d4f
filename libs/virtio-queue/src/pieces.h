// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue::detail {

/// The pieces of a chain in the making, for the fast walks: all of it stays in registers.
class Pieces {
 public:
  using IoVec = vm_memory::IoVec;

  Pieces(IoVec* out, IoVec* end, const Window& window) : out_(out), end_(end) {
    look_through(window);
  }

  /// Adds a buffer that lies in one region. False when it does not.
  [[gnu::always_inline]] bool add(const Ram& ram, Window& window, std::uint64_t address,
                                  std::uint64_t length) {
    std::uint64_t offset = address - base_;
    if (static_cast<std::int64_t>(offset) < 0) [[unlikely]] {
      if (!move(ram, window, &offset, length)) return false;
    } else if (offset + length > bytes_) [[unlikely]] {
      if (!move(ram, window, &offset, length)) return false;
    }
    out_->base = host_ + offset;
    out_->bytes = length;
    ++out_;
    total_ += length;
    return true;
  }
  /// No room for another one.
  [[nodiscard]] bool full() const { return out_ == end_; }
  /// Room for `more` pieces, at most up to `end`.
  void limit(IoVec* end, std::uint32_t more) {
    end_ = out_ + std::min<std::ptrdiff_t>(end - out_, more);
  }
  void look_through(const Window& window) {
    base_ = window.base;
    bytes_ = window.bytes;
    host_ = window.host;
  }

  [[nodiscard]] std::uint32_t count(const IoVec* first) const {
    return static_cast<std::uint32_t>(out_ - first);
  }
  [[nodiscard]] std::uint32_t bytes() const { return static_cast<std::uint32_t>(total_); }
  /// Whether the total is below 2^32.
  [[nodiscard]] bool is_short() const {
    return total_ <= std::numeric_limits<std::uint32_t>::max();
  }

 private:
  /// Moves the window to the region that holds all of a buffer; `offset` is in the window before
  /// and after.
  [[gnu::always_inline]] bool move(const Ram& ram, Window& window, std::uint64_t* offset,
                                   std::uint64_t length) {
    const std::uint64_t address = *offset + base_;
    if (!find_window(ram, &window, address, static_cast<std::uint32_t>(length))) return false;
    look_through(window);
    *offset = address - base_;
    return true;
  }
  static bool find_window(const Ram& ram, Window* window, std::uint64_t address,
                          std::uint32_t length);

  std::uint64_t base_;
  std::uint64_t bytes_;
  std::byte* host_;
  IoVec* out_;
  IoVec* end_;
  std::uint64_t total_ = 0;
};

}  // namespace vmm::virtio_queue::detail
