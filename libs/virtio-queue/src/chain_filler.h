// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

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

/// Fills a chain on the fast walks, which know the window only: all of it stays in registers.
///
/// A buffer that starts where kUsualBytes bytes are left in the window is taken as it is, and the
/// sum of all lengths is held against kUsualBytes at the end; that bounds each of them.
class ChainFiller {
 public:
  ChainFiller(Chain& chain, const Window& window)
      : chain_(chain),
        window_(window),
        end_(reinterpret_cast<std::byte*>(chain.storage_end_)),
        at_(-chain.storage_bytes_) {}

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
  /// All until now is readable, and what comes is writable.
  void turn() {
    chain_.sizes_.readable = size();
    chain_.bytes_.readable = static_cast<std::uint32_t>(total_);
  }
  /// False when this has to be looked at carefully. turn() was called.
  [[nodiscard]] bool finish(std::uint64_t max_size) {
    chain_.sizes_.writable = size() - chain_.sizes_.readable;
    chain_.bytes_.writable = static_cast<std::uint32_t>(total_) - chain_.bytes_.readable;
    return total_ <= Window::kUsualBytes && size() <= max_size;
  }
  /// Bytes of the list of pieces.
  [[nodiscard]] std::uint32_t size() const {
    return static_cast<std::uint32_t>(at_ + chain_.storage_bytes_);
  }
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
  std::byte* end_;
  std::ptrdiff_t at_;  // from the end
  std::uint64_t total_ = 0;
};

}  // namespace vmm::virtio_queue::detail
