// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vm_superio/byte_sink.h"

namespace vmm::vm_superio {

/// Writes to a file, pipe, socket, pty or terminal.
///
/// What the descriptor does not take at once (EAGAIN) is kept, up to `backlog` bytes, until
/// process() is called when it is writable again; what does not fit is refused. So with an
/// O_NONBLOCK descriptor a vCPU never waits for a stopped terminal. O_NONBLOCK belongs to the open
/// file description: to get one of one's own for an inherited stdout, open /proc/self/fd/1.
///
/// The process should ignore SIGPIPE. Threads: any, at once.
class FdSink final : public ByteSink {
 public:
  static constexpr std::size_t kBacklog = 64 * 1024;  ///< bytes

  /// Keeps up to `backlog` bytes.
  explicit FdSink(UniqueFd fd, std::size_t backlog = kBacklog)
      : fd_(std::move(fd)), backlog_(backlog) {}

  std::size_t write(std::span<const std::byte> bytes) override VMM_EXCLUDES(mutex_);

  /// Stable for the life of this object; wait for it to be writable while has_backlog().
  [[nodiscard]] int poll_fd() const { return fd_.get(); }
  /// Whether bytes wait for process().
  [[nodiscard]] bool has_backlog() const VMM_EXCLUDES(mutex_);
  /// Writes kept bytes as far as the descriptor takes them.
  void process() VMM_EXCLUDES(mutex_);

 private:
  [[nodiscard]] std::size_t write_now(std::span<const std::byte> bytes, bool& broken);
  void drain() VMM_REQUIRES(mutex_);

  const UniqueFd fd_;
  const std::size_t backlog_;
  mutable Mutex mutex_;
  std::vector<std::byte> kept_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vm_superio
