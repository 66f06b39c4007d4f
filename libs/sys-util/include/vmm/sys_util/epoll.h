// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/event_set.h"

#if defined(__x86_64__)
#define VMM_EPOLL_PACKED __attribute__((packed))
#else
#define VMM_EPOLL_PACKED
#endif

namespace vmm::sys_util {

/// One ready descriptor, as the kernel writes it (packed on x86_64).
struct VMM_EPOLL_PACKED EpollEvent {
  std::uint32_t bits;   ///< what is ready
  std::uint64_t token;  ///< what add() or modify() gave

  /// `bits` as a set.
  [[nodiscard]] EventSet events() const { return EventSet(bits); }
};

/// Waits for many descriptors at once; see epoll(7). Close-on-exec.
///
/// Thread-safety: all functions may be called from any thread.
class Epoll {
 public:
  /// How many events one wait() can return at most.
  static constexpr std::size_t kMaxEvents =
      std::numeric_limits<std::int32_t>::max() / sizeof(EpollEvent);

  /// Errors: the errno of epoll_create1(2).
  static Result<Epoll> create();

  /// Watches `fd`, which the caller must remove() before closing it.
  /// Errors: EEXIST when it is watched already, EPERM for files that are always ready,
  /// and the others of epoll_ctl(2).
  Result<void> add(int fd, EventSet interest, std::uint64_t token) const;
  /// Errors: ENOENT when `fd` is not watched.
  Result<void> modify(int fd, EventSet interest, std::uint64_t token) const;
  /// Errors: ENOENT when `fd` is not watched.
  Result<void> remove(int fd) const;

  /// Waits until something is ready, at most `timeout_ms` (negative: for ever), fills the front
  /// of `ready` and returns how many events that were.
  /// Errors: EINTR after a signal; EINVAL when `ready` is empty or above kMaxEvents.
  Result<std::size_t> wait(std::span<EpollEvent> ready, int timeout_ms) const;

  /// The epoll descriptor, borrowed; readable when wait() would not wait.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit Epoll(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::sys_util

#undef VMM_EPOLL_PACKED
