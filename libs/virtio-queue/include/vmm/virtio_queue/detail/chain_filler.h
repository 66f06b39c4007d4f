// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/vm_memory/guest_access.h"

namespace vmm::virtio_queue::detail {

/// Whether an indirect table may have this length: 2.7.5.3, 2.8.7.
[[nodiscard]] constexpr bool is_good_table(std::uint32_t bytes) {
  constexpr std::uint32_t kMaxBytes = 65535 * kDescriptorBytes;
  return bytes != 0 && bytes % kDescriptorBytes == 0 && bytes <= kMaxBytes;
}

static_assert(sizeof(IoVec) == kDescriptorBytes);

/// Fills a chain on the fast walks, which know the window only: all of it stays in registers.
///
/// A piece is as large as a descriptor, so that one number of bytes says how far a walk is in both.
///
/// A buffer that starts where Window::usual bytes are left in the window is taken as it is, and the
/// sums of all readable and of all writable lengths are held against that number at the end, which
/// bounds each of them.
class ChainFiller {
 public:
  /// At most `most` bytes of pieces are added.
  [[gnu::always_inline]] ChainFiller(Chain& chain, const Window& window, std::uint64_t most)
      : chain_(chain),
        window_(window),
        room_(std::min(chain.storage_bytes_, static_cast<std::ptrdiff_t>(most))),
        end_(reinterpret_cast<std::byte*>(chain.pieces_) + room_),
        at_(-room_) {}

  /// False when this has to be looked at carefully. Precondition: !is_full().
  [[gnu::always_inline]] bool add(std::uint64_t address, std::uint64_t length) {
    const std::uint64_t offset = address - window_.base;
    if (offset >= window_.inside) [[unlikely]]
      return false;
    auto* const piece = reinterpret_cast<IoVec*>(end_ + at_);
    piece->base = window_.host + offset;
    piece->bytes = length;
    at_ += static_cast<std::ptrdiff_t>(sizeof(IoVec));
    total_ += length;
    return true;
  }
  [[nodiscard]] bool is_full() const { return at_ == 0; }
  /// All until now is readable, and what comes is writable. False when this has to be looked at
  /// carefully.
  [[nodiscard]] bool turn() {
    chain_.sizes_.readable = size();
    chain_.bytes_.readable = static_cast<std::uint32_t>(total_);
    turn_ = at_;
    return std::exchange(total_, 0) <= window_.usual;
  }
  /// False when this has to be looked at carefully. turn() was called.
  [[nodiscard]] bool finish() {
    chain_.sizes_.writable = static_cast<std::uint32_t>(at_ - turn_);
    chain_.bytes_.writable = static_cast<std::uint32_t>(total_);
    return total_ <= window_.usual;
  }
  /// Bytes of the list of pieces.
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(at_ + room_); }
  /// The most that size() can be.
  [[nodiscard]] std::ptrdiff_t room() const { return room_; }
  /// Bytes of pieces until it is full, negative.
  [[nodiscard]] std::ptrdiff_t at() const { return at_; }
  /// An indirect table whose fields can be loaded as they are and which is all in the window, else
  /// nullptr. Precondition: is_good_table(length).
  [[nodiscard]] const std::byte* table(std::uint64_t address, std::uint32_t length) const {
    if (!window_.holds(address, length)) return nullptr;
    const std::byte* const host = window_.at(address);
    return vm_memory::detail::is_aligned(host, 8) ? host : nullptr;
  }

 private:
  Chain& chain_;
  const Window& window_;
  std::ptrdiff_t room_;
  std::byte* end_;
  std::ptrdiff_t at_;        // from the end
  std::ptrdiff_t turn_ = 0;  // at_ where writable pieces begin
  std::uint64_t total_ = 0;  // bytes, of readable pieces or of writable ones
};

}  // namespace vmm::virtio_queue::detail
