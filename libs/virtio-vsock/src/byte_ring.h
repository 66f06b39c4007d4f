// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace vmm::virtio_vsock {

/// Bytes that wait, first in, first out, up to a capacity. The memory is taken with the first
/// byte, once.
class ByteRing {
 public:
  explicit ByteRing(std::uint32_t capacity) : capacity_(capacity) {}

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::uint32_t room() const { return capacity_ - size_; }

  using Parts = std::array<std::span<std::byte>, 2>;

  /// Room for `bytes` more, which append() then makes part of the content.
  /// Precondition: bytes <= room().
  [[nodiscard]] Parts tail(std::uint32_t bytes) {
    if (bytes_ == nullptr) bytes_ = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    return parts(wrap(begin_ + std::size_t{size_}), bytes);
  }
  void append(std::uint32_t bytes) { size_ += bytes; }

  /// The first `bytes` bytes. Precondition: bytes <= size().
  [[nodiscard]] Parts head(std::uint32_t bytes) { return parts(begin_, bytes); }
  /// Precondition: index < size().
  [[nodiscard]] std::byte at(std::uint32_t index) const {
    return bytes_[wrap(begin_ + std::size_t{index})];
  }
  /// Forgets the first ones. Precondition: bytes <= size().
  void drop(std::uint32_t bytes) {
    begin_ = wrap(begin_ + std::size_t{bytes});
    size_ -= bytes;
  }
  void clear() { size_ = 0; }

 private:
  [[nodiscard]] std::uint32_t wrap(std::size_t at) const {
    return static_cast<std::uint32_t>(at >= capacity_ ? at - capacity_ : at);
  }
  [[nodiscard]] Parts parts(std::uint32_t at, std::uint32_t bytes) {
    const std::uint32_t first = std::min(bytes, capacity_ - at);
    return {std::span(bytes_.get() + at, first), std::span(bytes_.get(), bytes - first)};
  }

  std::uint32_t capacity_;
  std::uint32_t begin_ = 0;
  std::uint32_t size_ = 0;
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace vmm::virtio_vsock
