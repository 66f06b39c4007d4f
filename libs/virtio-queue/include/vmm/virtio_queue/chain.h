// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/stream.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue {

using vm_memory::IoVec;

namespace detail {
class ChainFiller;
class CarefulFiller;
class RingBase;
}  // namespace detail

/// One buffer that the driver made available, validated as a whole and resolved to host memory:
/// device-readable pieces first, then device-writable ones, at most 2^32 - 1 bytes together.
///
/// A chain is filled by Queue::pop(), as often as one likes, and refers to storage of its owner:
/// an InlineChain or a ChainBuffer. Its pieces stay mapped until the queue was told of its
/// completion, also when guest memory is unplugged meanwhile. Pieces may be empty.
///
/// Thread-safety: none; a chain may be handed to another thread.
class Chain {
 public:
  Chain(const Chain&) = delete;
  Chain& operator=(const Chain&) = delete;

  /// What Queue::add_used() wants back: the first descriptor of a split ring's chain, the buffer
  /// id of a packed one.
  [[nodiscard]] std::uint16_t head() const { return static_cast<std::uint16_t>(label_.word); }
  /// Why pop() answered kMalformed or kBroken.
  [[nodiscard]] QueueError error() const { return error_; }

  /// What the driver offers to read, all device-readable pieces together.
  [[nodiscard]] std::uint32_t readable_bytes() const { return bytes_.readable; }
  /// What the driver offers to write, all device-writable pieces together.
  [[nodiscard]] std::uint32_t writable_bytes() const { return bytes_.writable; }
  ///@{
  /// From the first byte on. As often as wanted; valid as long as the chain's pieces are.
  [[nodiscard]] Reader reader() const { return Reader(pieces_, bytes_.readable); }
  [[nodiscard]] Writer writer() const { return Writer(first_writable(), bytes_.writable, label_); }
  ///@}

  /// Host addresses for system calls, laid out as struct iovec; nobody may dereference them.
  [[nodiscard]] std::span<const IoVec> unsafe_readable() const {
    return {pieces_, sizes_.readable / sizeof(IoVec)};
  }
  /// The same; whoever lets something write there calls mark_written() before add_used().
  [[nodiscard]] std::span<const IoVec> unsafe_writable() const {
    return {first_writable(), sizes_.writable / sizeof(IoVec)};
  }
  /// Marks the first `bytes` bytes of the writable pieces in the dirty bitmaps.
  void mark_written(std::uint32_t bytes) const;

  /// How many pieces there is room for.
  [[nodiscard]] std::uint32_t capacity() const {
    return static_cast<std::uint32_t>(static_cast<std::size_t>(storage_bytes_) / sizeof(IoVec));
  }

 protected:
  /// Keeps its pieces in `storage`, which is not empty and outlives the chain.
  explicit Chain(std::span<IoVec> storage)
      : pieces_(storage.data()),
        storage_bytes_(static_cast<std::ptrdiff_t>(storage.size_bytes())) {}
  ~Chain() = default;

 private:
  friend class Queue;
  friend class SplitQueue;
  friend class PackedQueue;
  friend class detail::ChainFiller;
  friend class detail::CarefulFiller;
  friend class detail::RingBase;

  /// A number for each of the two halves of a chain.
  struct Halves {
    std::uint32_t readable = 0;
    std::uint32_t writable = 0;

    /// Sets both by one store.
    void set_one(std::uint64_t number, bool in_writable) {
      constexpr bool kLittle = std::endian::native == std::endian::little;
      const std::uint64_t both = in_writable == kLittle ? number << 32 : number;
      std::memcpy(static_cast<void*>(this), &both, sizeof(both));
    }
  };
  [[nodiscard]] const IoVec* first_writable() const {
    return reinterpret_cast<const IoVec*>(reinterpret_cast<const std::byte*>(pieces_) +
                                          sizes_.readable);
  }
  /// What is written is to be marked in the bitmaps of `ram`.
  void track(const detail::Ram* ram) {
    label_.word |= detail::ChainLabel::kTracked;
    label_.ram = ram;
  }
  /// The chain is one piece. Precondition: bytes < 2^32.
  void set_single(void* host, std::uint64_t bytes, bool writable) {
    pieces_[0] = {host, bytes};
    if (!writable) [[likely]] {
      bytes_.set_one(bytes, false);
      sizes_.set_one(sizeof(IoVec), false);
    } else {
      bytes_.set_one(bytes, true);
      sizes_.set_one(sizeof(IoVec), true);
    }
  }
  void set_empty(QueueError error) {
    bytes_ = sizes_ = Halves{};
    error_ = error;
  }

  IoVec* pieces_;
  std::ptrdiff_t storage_bytes_;
  detail::ChainLabel label_;
  QueueError error_{};
  Halves bytes_;
  Halves sizes_;  // of the lists of pieces, in bytes
};

/// A chain with room for kPieces pieces inside.
template <std::size_t kPieces>
class InlineChain : public Chain {
 public:
  static_assert(kPieces > 0);
  InlineChain() : Chain(storage_) {}

 private:
  std::array<IoVec, kPieces> storage_;
};

/// A chain whose room is allocated once, when it is made: for queues of any size.
class ChainBuffer : public Chain {
 public:
  /// `pieces` is at least 1; the queue size is enough for each chain that 2.7.5 allows, unless
  /// buffers cross from one memory region to the next.
  explicit ChainBuffer(std::uint32_t pieces)
      : ChainBuffer(std::make_unique<IoVec[]>(pieces == 0 ? 1 : pieces), pieces == 0 ? 1 : pieces) {
  }
  /// In memory of the caller's, which outlives it: for many buffers side by side. Not empty.
  explicit ChainBuffer(std::span<IoVec> room) : Chain(room) {}

 private:
  ChainBuffer(std::unique_ptr<IoVec[]> storage, std::uint32_t pieces)
      : Chain({storage.get(), pieces}), storage_(std::move(storage)) {}

  std::unique_ptr<IoVec[]> storage_;
};

}  // namespace vmm::virtio_queue
