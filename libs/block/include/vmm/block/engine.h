// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/io_vec.h"
#include "vmm/base/result.h"

namespace vmm::block {

/// One thing to do with a file.
struct Operation {
  /// The system call that it stands for.
  enum class Kind : std::uint8_t {
    kRead,       ///< preadv(2)
    kWrite,      ///< pwritev(2)
    kSync,       ///< fdatasync(2)
    kPunchHole,  ///< fallocate(2), the size stays
    kZeroRange,  ///< fallocate(2), the size stays
  };

  Kind kind = Kind::kRead;           ///< decides which of the other fields count
  int fd = -1;                       ///< borrowed: open until the operation has ended
  std::uint32_t tag = 0;             ///< comes back in the Completion
  std::uint64_t offset = 0;          ///< into the file, in bytes
  std::uint64_t bytes = 0;           ///< kPunchHole and kZeroRange
  std::span<const IoVec> buffers{};  ///< kRead and kWrite; the list stays until the next kick()
};

/// How an Operation ended.
struct Completion {
  std::uint32_t tag = 0;  ///< Operation::tag
  /// Bytes moved, which may be fewer than asked for; or a negative errno.
  std::int32_t result = 0;
};

/// What does the I/O.
enum class EngineKind : std::uint8_t {
  kAuto,   ///< kUring where the kernel permits it, else kSync
  kUring,  ///< io_uring(7)
  kSync,   ///< the calling thread does it
};

/// Does the I/O of one queue.
///
///   submit() ... submit(), kick(), reap() until it returns 0;
///   whenever poll_fd() is readable: reap() until it returns 0
///
/// Threads: one at a time. Buffers of operations in flight belong to the engine.
class Engine {
 public:
  /// What an engine is made for.
  struct Options {
    EngineKind kind = EngineKind::kAuto;  ///< see kind() for what it has become
    /// Operations in flight; at most kMaxDepth.
    std::uint32_t depth = 128;
    /// Files that operations name most often, registered with the kernel; they stay open as long
    /// as the engine is there.
    std::span<const int> files{};
    /// Memory that operations use, to be registered with the kernel, which saves it the look-up of
    /// pages for operations with one buffer inside. The kernel pins all of it at once, and goes on
    /// using these pages whatever is mapped there later: only for memory that is never given back
    /// (no balloon, no unplug). Refused (RLIMIT_MEMLOCK), it is used as other memory.
    std::span<const IoVec> pinned_memory{};
  };
  static constexpr std::uint32_t kMaxDepth = 4096;  ///< operations in flight, for Options::depth

  /// Errors: EINVAL for a depth of 0 or too much; with kUring those of io_uring_setup(2) and EPERM
  /// when it may not be used.
  static Result<std::unique_ptr<Engine>> create(const Options& options);

  virtual ~Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  /// What it is: never kAuto.
  [[nodiscard]] virtual EngineKind kind() const = 0;
  /// Whether Options::pinned_memory was registered with the kernel.
  [[nodiscard]] virtual bool has_pinned_memory() const { return false; }
  /// Takes an operation; it begins with kick(), or before. Precondition: fewer than `depth` are in
  /// flight or waiting to be reaped.
  virtual void submit(const Operation& operation) = 0;
  /// Begins all that was submitted, by one system call if there is something.
  virtual void kick() = 0;
  /// Takes what has ended, as much as there is room for. No system call.
  [[nodiscard]] virtual std::size_t reap(std::span<Completion> out) = 0;
  /// Waits until something can be reaped, unless nothing is in flight.
  virtual void wait() = 0;
  /// Ends what has not begun; such operations may come back with ECANCELED.
  virtual void cancel() {}
  /// Readable while something can be reaped; -1 when everything ends within kick().
  [[nodiscard]] virtual int poll_fd() const = 0;

 protected:
  Engine() = default;
};

}  // namespace vmm::block
