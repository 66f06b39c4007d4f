// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "vmm/base/io_vec.h"

namespace vmm::block {

/// A position in a list of buffers.
class BufferCursor {
 public:
  explicit BufferCursor(std::span<const IoVec> buffers) : rest_(buffers) {}

  /// Precondition: that many bytes follow.
  void skip(std::uint64_t bytes) {
    each(bytes, [](const IoVec&) {});
  }
  /// Calls with the pieces of the next bytes, and goes past them.
  template <class Function>
  void each(std::uint64_t bytes, Function&& function) {
    while (bytes != 0 && !rest_.empty()) {
      const IoVec buffer = rest_.front();  // a copy: list() may write there
      const std::size_t left = buffer.bytes - inside_;
      const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(left, bytes));
      if (part != 0) function(IoVec{static_cast<std::byte*>(buffer.base) + inside_, part});
      bytes -= part;
      inside_ += part;
      if (inside_ == buffer.bytes) {
        rest_ = rest_.subspan(1);
        inside_ = 0;
      }
    }
  }
  /// Lists the pieces of the next bytes, and goes past them. `room` may be the start of the list
  /// that the cursor goes through. Precondition: there is room.
  std::span<const IoVec> list(std::uint64_t bytes, std::span<IoVec> room) {
    std::size_t count = 0;
    each(bytes, [&](const IoVec& piece) { room[count++] = piece; });
    return room.first(count);
  }

  // Guest memory from here on: each byte is read at most once, whatever the guest does meanwhile.
  void copy_out(std::span<std::byte> to) {
    each(to.size(), [&to](const IoVec& piece) {
      std::memcpy(to.data(), piece.base, piece.bytes);
      to = to.subspan(piece.bytes);
    });
    asm volatile("" : : : "memory");  // what is used afterwards is the copy
  }
  void copy_in(std::span<const std::byte> from) {
    each(from.size(), [&from](const IoVec& piece) {
      std::memcpy(piece.base, from.data(), piece.bytes);
      from = from.subspan(piece.bytes);
    });
  }
  void zero(std::uint64_t bytes) {
    each(bytes, [](const IoVec& piece) { std::memset(piece.base, 0, piece.bytes); });
  }

 private:
  std::span<const IoVec> rest_;
  std::size_t inside_ = 0;
};

}  // namespace vmm::block
