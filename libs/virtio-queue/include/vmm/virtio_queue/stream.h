// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue {

namespace detail {

/// What a chain says to its streams.
struct ChainLabel {
  static constexpr std::uint32_t kTracked = 1 << 16;

  std::uint32_t word = 0;    // the head, and kTracked: what is written is to be marked
  const Ram* ram = nullptr;  // in whose bitmaps

  void mark(const void* host, std::size_t bytes) const {
    if ((word & kTracked) != 0) [[unlikely]]
      ram->mark(host, bytes);
  }
};

/// A position in a list of pieces.
class Cursor {
 public:
  using IoVec = vm_memory::IoVec;

  Cursor() = default;
  Cursor(const IoVec* pieces, std::uint32_t bytes) : next_(pieces), remaining_(bytes) {}

  /// Bytes left.
  [[nodiscard]] std::uint32_t remaining() const { return remaining_; }

  /// Whether the next `n` bytes are in one piece. Precondition: 0 < n <= remaining().
  [[nodiscard]] bool is_whole(std::uint32_t n) {
    if (left_ == 0) enter();
    return n <= left_;
  }
  /// The host address of the next `n` bytes. Precondition: is_whole(n).
  [[nodiscard]] std::byte* take(std::uint32_t n) {
    std::byte* const at = at_;
    at_ += n;
    left_ -= n;
    remaining_ -= n;
    return at;
  }
  /// The next bytes that are in one piece, at most `n`. Precondition: 0 < n <= remaining().
  [[nodiscard]] std::span<std::byte> take_some(std::uint32_t n) {
    if (left_ == 0) enter();
    n = static_cast<std::uint32_t>(std::min<std::size_t>(n, left_));
    return {take(n), n};
  }
  /// Precondition: n <= remaining().
  void skip(std::uint32_t n) {
    remaining_ -= n;
    if (n < left_) {
      at_ += n;
      left_ -= n;
      return;
    }
    if (remaining_ == 0) {
      left_ = 0;
      return;
    }
    std::size_t more = n - left_;
    const IoVec* piece = next_;
    for (; more >= piece->bytes; ++piece) more -= piece->bytes;
    at_ = static_cast<std::byte*>(piece->base) + more;
    left_ = piece->bytes - more;
    next_ = piece + 1;
  }
  /// Keeps the first n bytes. Precondition: n <= remaining().
  void truncate(std::uint32_t n) { remaining_ = n; }
  /// Fills `out` with the next pieces, up to `bytes` bytes, without going on.
  std::size_t list(std::span<IoVec> out, std::uint32_t bytes) const;
  // Those for bytes in more than one piece; see Reader and Writer.
  void copy_out(std::span<std::byte> to) {
    copy_pieces(next_, {at_, left_}, to);
    skip(static_cast<std::uint32_t>(to.size()));
  }
  void copy_in(std::span<const std::byte> from, const ChainLabel& label) {
    copy_pieces(next_, {at_, left_}, from, label);
    skip(static_cast<std::uint32_t>(from.size()));
  }

 private:
  // What is in `here`, then the pieces from `next` on. They are given no cursor, so that cursors
  // stay in registers.
  static void copy_pieces(const IoVec* next, std::span<std::byte> here, std::span<std::byte> to);
  static void copy_pieces(const IoVec* next, std::span<std::byte> here,
                          std::span<const std::byte> from, const ChainLabel& label);
  void enter() {
    enter_next();
    while (left_ == 0) [[unlikely]]
      enter_next();
  }
  void enter_next() {
    at_ = static_cast<std::byte*>(next_->base);
    left_ = next_->bytes;
    ++next_;
  }

  const IoVec* next_ = nullptr;
  std::byte* at_ = nullptr;
  std::size_t left_ = 0;         // of the current piece
  std::uint32_t remaining_ = 0;  // of the stream
};

/// What Reader and Writer have in common.
template <class Stream>
class StreamBase {
 public:
  /// Bytes left.
  [[nodiscard]] std::uint32_t remaining() const { return cursor_.remaining(); }
  /// Leaves out the next `bytes` bytes. Errors: kEndOfChain, and nothing is left out.
  Result<void, QueueError> skip(std::uint32_t bytes) {
    if (bytes > remaining()) [[unlikely]]
      return fail(QueueError::kEndOfChain);
    cursor_.skip(bytes);
    return {};
  }
  /// Ends this stream after `offset` bytes; what follows is the result.
  /// Errors: kSplitOutOfBounds.
  [[nodiscard]] Result<Stream, QueueError> split_at(std::uint32_t offset) {
    if (offset > remaining()) [[unlikely]]
      return fail(QueueError::kSplitOutOfBounds);
    Stream tail = static_cast<const Stream&>(*this);
    tail.cursor_.skip(offset);
    cursor_.truncate(offset);
    return tail;
  }
  /// Lists where the next `bytes` bytes are, for readv(2), writev(2) and io_uring; skip(), or
  /// Writer::commit(), goes on. Returns how many entries of `out` were filled: fewer bytes than
  /// asked for when `out` is too short.
  [[nodiscard]] std::size_t unsafe_iovec(std::span<vm_memory::IoVec> out,
                                         std::uint32_t bytes = ~std::uint32_t{0}) const {
    return cursor_.list(out, bytes);
  }

 protected:
  StreamBase() = default;
  StreamBase(const vm_memory::IoVec* pieces, std::uint32_t bytes) : cursor_(pieces, bytes) {}
  [[nodiscard]] bool has(std::size_t bytes) const { return bytes <= remaining(); }

  Cursor cursor_;
};

}  // namespace detail

/// Reads the device-readable bytes of a chain as one stream, whatever the pieces: 2.7.4.1 leaves
/// framing to the driver. A value of four words; borrows the chain's storage. Guest bytes are
/// copied once.
class Reader : public detail::StreamBase<Reader> {
 public:
  Reader() = default;
  /// `pieces` hold at least `bytes` bytes.
  Reader(const vm_memory::IoVec* pieces, std::uint32_t bytes) : StreamBase(pieces, bytes) {}

  /// The next object, which may lie in several pieces. Errors: kEndOfChain, and nothing is read.
  template <vm_memory::GuestValue T>
  [[nodiscard]] Result<T, QueueError> read_obj() {
    if (!has(sizeof(T))) [[unlikely]]
      return fail(QueueError::kEndOfChain);
    if (cursor_.is_whole(sizeof(T))) [[likely]]
      return vm_memory::detail::read_object<T>(cursor_.take(sizeof(T)));
    T value;
    cursor_.copy_out({reinterpret_cast<std::byte*>(&value), sizeof(T)});
    return value;
  }
  /// Fills `to`. Errors: kEndOfChain, and nothing is read.
  Result<void, QueueError> read_exact(std::span<std::byte> to) {
    if (!has(to.size())) [[unlikely]]
      return fail(QueueError::kEndOfChain);
    copy(to);
    return {};
  }
  /// Reads min(remaining(), to.size()) bytes, and says how many.
  std::size_t read(std::span<std::byte> to) {
    to = to.first(std::min<std::size_t>(to.size(), remaining()));
    copy(to);
    return to.size();
  }

 private:
  void copy(std::span<std::byte> to) {
    if (to.empty()) return;
    const auto bytes = static_cast<std::uint32_t>(to.size());
    if (cursor_.is_whole(bytes)) [[likely]] {
      return vm_memory::detail::copy_out(to.data(), cursor_.take(bytes), bytes);
    }
    cursor_.copy_out(to);
  }
};

/// Writes the device-writable bytes of a chain as one stream; marks them in the dirty bitmaps.
class Writer : public detail::StreamBase<Writer> {
 public:
  Writer() = default;
  /// `pieces` hold at least `bytes` bytes, and are those of the chain with this label.
  Writer(const vm_memory::IoVec* pieces, std::uint32_t bytes, const detail::ChainLabel& label)
      : StreamBase(pieces, bytes), label_(&label) {}

  /// Errors: kEndOfChain, and nothing is written.
  template <vm_memory::GuestValue T>
  Result<void, QueueError> write_obj(const T& value) {
    if (!has(sizeof(T))) [[unlikely]]
      return fail(QueueError::kEndOfChain);
    if (cursor_.is_whole(sizeof(T))) [[likely]] {
      std::byte* const at = cursor_.take(sizeof(T));
      vm_memory::detail::write_object(at, value);
      label_->mark(at, sizeof(T));
      return {};
    }
    const T copy = value;
    cursor_.copy_in(std::as_bytes(std::span(&copy, 1)), *label_);
    return {};
  }
  /// Writes all of `from`. Errors: kEndOfChain, and nothing is written.
  Result<void, QueueError> write_exact(std::span<const std::byte> from) {
    if (!has(from.size())) [[unlikely]]
      return fail(QueueError::kEndOfChain);
    copy(from);
    return {};
  }
  /// Writes min(remaining(), from.size()) bytes, and says how many.
  std::size_t write(std::span<const std::byte> from) {
    from = from.first(std::min<std::size_t>(from.size(), remaining()));
    copy(from);
    return from.size();
  }
  /// Goes on by `bytes` bytes that were written through unsafe_iovec(), and marks them.
  /// Errors: kEndOfChain.
  Result<void, QueueError> commit(std::uint32_t bytes);

 private:
  void copy(std::span<const std::byte> from) {
    if (from.empty()) return;
    const auto bytes = static_cast<std::uint32_t>(from.size());
    if (cursor_.is_whole(bytes)) [[likely]] {
      std::byte* const at = cursor_.take(bytes);
      vm_memory::detail::copy_in(at, from.data(), bytes);
      return label_->mark(at, bytes);
    }
    cursor_.copy_in(from, *label_);
  }

  const detail::ChainLabel* label_ = nullptr;
};

}  // namespace vmm::virtio_queue
