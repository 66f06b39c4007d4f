// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/stream.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue {

using vm_memory::IoVec;

namespace detail {
class SplitWalk;
class PackedWalk;
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
  [[nodiscard]] std::uint16_t head() const { return head_; }
  /// Why pop() answered kMalformed or kBroken.
  [[nodiscard]] QueueError error() const { return error_; }

  [[nodiscard]] std::uint32_t readable_bytes() const { return readable_bytes_; }
  [[nodiscard]] std::uint32_t writable_bytes() const { return writable_bytes_; }
  [[nodiscard]] Reader reader() const { return Reader(unsafe_readable(), readable_bytes_); }
  [[nodiscard]] Writer writer() const { return Writer(unsafe_writable(), writable_bytes_, ram_); }

  /// Host addresses for system calls, laid out as struct iovec; nobody may dereference them.
  [[nodiscard]] std::span<const IoVec> unsafe_readable() const {
    return {pieces_, readable_count_};
  }
  /// The same; whoever lets something write there calls mark_written() before add_used().
  [[nodiscard]] std::span<const IoVec> unsafe_writable() const {
    return {pieces_ + readable_count_, writable_count_};
  }
  /// Marks the first `bytes` bytes of the writable pieces in the dirty bitmaps.
  void mark_written(std::uint32_t bytes) const;

  /// How many pieces there is room for.
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 protected:
  explicit Chain(std::span<IoVec> storage)
      : pieces_(storage.data()), capacity_(static_cast<std::uint32_t>(storage.size())) {}
  ~Chain() = default;

 private:
  friend class SplitQueue;
  friend class PackedQueue;
  friend class detail::SplitWalk;
  friend class detail::PackedWalk;

  /// The chain is one piece.
  void set_single(void* host, std::uint32_t bytes, bool writable) {
    pieces_[0] = {host, bytes};
    if (writable) {
      readable_count_ = 0;
      writable_count_ = 1;
      readable_bytes_ = 0;
      writable_bytes_ = bytes;
    } else {
      readable_count_ = 1;
      writable_count_ = 0;
      readable_bytes_ = bytes;
      writable_bytes_ = 0;
    }
  }
  void set_empty() {
    readable_count_ = writable_count_ = 0;
    readable_bytes_ = writable_bytes_ = 0;
  }

  IoVec* pieces_;
  std::uint32_t capacity_;
  std::uint16_t head_ = 0;
  std::uint16_t descriptors_ = 0;  // packed: how far the ring goes on
  std::uint32_t readable_count_ = 0;
  std::uint32_t writable_count_ = 0;
  std::uint32_t readable_bytes_ = 0;
  std::uint32_t writable_bytes_ = 0;
  const detail::Ram* ram_ = nullptr;
  QueueError error_{};
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
  /// `pieces` is at least 1; the queue size is enough for each chain that 2.7.5.2 allows, unless
  /// buffers cross from one memory region to the next.
  explicit ChainBuffer(std::uint32_t pieces)
      : ChainBuffer(std::make_unique<IoVec[]>(pieces == 0 ? 1 : pieces), pieces == 0 ? 1 : pieces) {
  }

 private:
  ChainBuffer(std::unique_ptr<IoVec[]> storage, std::uint32_t pieces)
      : Chain({storage.get(), pieces}), storage_(std::move(storage)) {}

  std::unique_ptr<IoVec[]> storage_;
};

}  // namespace vmm::virtio_queue
