// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/io_vec.h"
#include "vmm/base/result.h"
#include "vmm/block/engine.h"
#include "vmm/block/image.h"

namespace vmm::block {

/// What a guest wants of a disk.
struct DiskRequest {
  /// What to do with the range.
  enum class Kind : std::uint8_t { kRead, kWrite, kFlush, kDiscard, kWriteZeroes };

  Kind kind = Kind::kRead;  ///< decides which of the other fields count
  bool durable = false;     ///< kWrite, kDiscard, kWriteZeroes: ends when it would survive a crash
  bool may_unmap = false;   ///< kWriteZeroes
  std::uint32_t tag = 0;    ///< comes back in EndedRequest
  /// On the disk, in bytes; multiples of 512. Empty for kFlush.
  ByteRange range{};
  /// kRead and kWrite: of range.bytes together, guest memory usually, which nobody looks into but
  /// the kernel (but for images with kZero and kSlow extents, the first sector of a guessed raw
  /// image, and misaligned direct I/O). List and memory stay until the request has ended.
  std::span<const IoVec> buffers{};
};

/// How a DiskRequest ended.
struct EndedRequest {
  std::uint32_t tag = 0;  ///< DiskRequest::tag
  int error = 0;          ///< an errno; 0: done
  /// kRead: from the first byte on, so many were read for sure, also when there was an error.
  std::uint64_t bytes = 0;
};

/// A disk for one queue of requests: an image and an engine.
///
///   submit() ... submit(), kick(), reap() until it returns 0;
///   whenever poll_fd() is readable: reap() until it returns 0
///
/// Nothing is allocated for a request. An error of one request is told and touches no other.
///
/// Threads: one at a time; others may use other queues on the same image.
class DiskQueue {
 public:
  /// What a queue is made for.
  struct Options {
    EngineKind engine = EngineKind::kAuto;   ///< see engine_kind() for what it has become
    std::uint32_t depth = 128;               ///< requests in flight; at most kMaxDepth
    std::uint32_t max_buffers = 1024;        ///< of one request
    std::span<const IoVec> pinned_memory{};  ///< see Engine::Options
  };
  static constexpr std::uint32_t kMaxDepth = 1024;  ///< requests in flight, for Options::depth

  /// Errors: EINVAL for a depth out of range; those of Engine::create() and mmap(2).
  static Result<std::unique_ptr<DiskQueue>> create(std::shared_ptr<Image> image,
                                                   const Options& options);
  DiskQueue(const DiskQueue&) = delete;
  DiskQueue& operator=(const DiskQueue&) = delete;
  /// As drain().
  ~DiskQueue();

  /// Whether `depth` requests were submitted and not reaped.
  [[nodiscard]] bool is_full() const;
  /// Begins a request. Preconditions: not is_full(); at most max_buffers buffers.
  void submit(const DiskRequest& request);
  /// Sends all that was submitted to the kernel at once.
  void kick();
  /// Takes requests that have ended, as many as there is room for, and goes on with those that
  /// have further parts.
  [[nodiscard]] std::size_t reap(std::span<EndedRequest> out);
  /// Readable while reap() has something to do; -1 when all is done within kick() and reap().
  [[nodiscard]] int poll_fd() const;
  /// Ends everything in flight, with ECANCELED what is not finished, and waits for that. After
  /// that no memory is touched until the next submit(); reap() tells the ends.
  void drain();

  /// The image that create() was given; as long as the queue.
  [[nodiscard]] Image& image() const;
  /// What does the I/O: never kAuto.
  [[nodiscard]] EngineKind engine_kind() const;
  /// Whether Options::pinned_memory was registered with the kernel.
  [[nodiscard]] bool has_pinned_memory() const;

 private:
  class Impl;
  explicit DiskQueue(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace vmm::block
