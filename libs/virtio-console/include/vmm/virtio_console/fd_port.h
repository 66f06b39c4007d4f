// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/virtio_console/console.h"

// The host's side of a console that is a descriptor: a pipe, a terminal, a socket.

namespace vmm::virtio_console {

/// What the guest writes, to a descriptor. One that does not block makes the guest wait when it is
/// full; one that blocks holds up the device's worker. What nobody will ever read is dropped.
///
/// Room is waited for on the worker's loop, which watches a descriptor for one purpose: where a
/// FdInput is on that loop, too, each has a duplicate of its own.
///
/// Threads: as ConsoleOutput.
class FdOutput final : public ConsoleOutput {
 public:
  /// `fd` is borrowed.
  explicit FdOutput(int fd) : fd_(fd) {}

  std::size_t write(std::span<const std::byte> bytes) override;
  [[nodiscard]] int room_fd() const override { return fd_; }

 private:
  int fd_;
};

/// What the user types, from a descriptor to the guest: as much as the guest has room for; the rest
/// waits in the descriptor. Ends with the end of the input, which is that of a pty when nobody has
/// its other side: who lets others come and go holds that open.
///
/// Threads: the loop's.
class FdInput {
 public:
  /// `fd`, `loop` and `console`, a Console or a port, are borrowed: all outlive this object. `fd`
  /// does not block until the object ends, nor do others of the same open file: a terminal's
  /// output, the shell's copies. A file that cannot be waited for (a regular one, /dev/null) is no
  /// input at all. Errors: those of fcntl(2) and EventLoop::add().
  static Result<std::unique_ptr<FdInput>> create(event_manager::EventLoop& loop, int fd,
                                                 ConsoleInput& console);
  ~FdInput();
  FdInput(const FdInput&) = delete;
  FdInput& operator=(const FdInput&) = delete;

 private:
  FdInput(int fd, ConsoleInput& console) : fd_(fd), console_(console) {}
  void pump();

  int fd_;
  sys_util::NonBlocking no_waiting_;
  ConsoleInput& console_;
  event_manager::Registration watch_;
  std::shared_ptr<FdInput*> self_;  // null when this object is gone, for what was posted before
};

}  // namespace vmm::virtio_console
