// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user_frontend {

/// Where the guest sees a SharedWindow: for a hypervisor's memory slot. Threads: any, one at a
/// time.
class WindowSlot {
 public:
  virtual ~WindowSlot() = default;
  WindowSlot(const WindowSlot&) = delete;
  WindowSlot& operator=(const WindowSlot&) = delete;

  /// The guest sees `memory` at `address` from now on, and nowhere else; nullptr: nowhere.
  virtual Result<void> show(std::span<std::byte> memory, const GuestAddress* address) = 0;

 protected:
  WindowSlot() = default;
};

/// The addresses of a shared memory region (virtio 1.3, 2.10), into which a back end maps parts of
/// its files: SHMEM_MAP and SHMEM_UNMAP of vhost-user.
///
/// Where nothing is mapped the window is memory of its own, zeros at first, so that a guest that
/// goes astray there, or that has lost its back end, touches nobody else's and lives on. A guest
/// can fill all of it: it counts as guest memory. A write to what is mapped read-only, and any
/// access behind the end of a file, has no page to go to, which hypervisors tell as EFAULT. This
/// side never reads or writes the window, so that a file which is truncated does not harm it.
///
/// Threads: any.
class SharedWindow {
 public:
  /// Each mapping takes up to two of the process's (vm.max_map_count, 65530 on most hosts).
  static constexpr std::size_t kMostMappings = 16'384;

  /// Reserves the addresses. Errors: EINVAL for what is no multiple of the page size; those of
  /// mmap(2).
  static Result<std::unique_ptr<SharedWindow>> create(std::uint64_t bytes);
  SharedWindow(const SharedWindow&) = delete;
  SharedWindow& operator=(const SharedWindow&) = delete;
  ~SharedWindow();

  /// Where it is in this process: for WindowSlot::show(), and not to be accessed.
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  /// Maps a part of a regular file, which has to be free in the window: area.id is not looked at.
  /// Errors: kBadRange for what is not of whole pages or outside of the window; kOverlap for what
  /// is not free; kBadValue for another kind of file, or one of huge pages; kTooMany; those of
  /// mmap(2). Nothing is mapped then.
  Result<void> map(const vhost_user::ShmemArea& area, const UniqueFd& file) VMM_EXCLUDES(mutex_);
  /// Errors: kBadRange for what is not exactly one mapping; those of mmap(2), and it is as before.
  Result<void> unmap(const vhost_user::ShmemArea& area) VMM_EXCLUDES(mutex_);
  /// Unmaps everything, and forgets what was written elsewhere; or nothing when mmap(2) fails.
  void clear() VMM_EXCLUDES(mutex_);
  /// How many parts of files are mapped now; at most kMostMappings.
  [[nodiscard]] std::size_t mappings() VMM_EXCLUDES(mutex_);

 private:
  explicit SharedWindow(std::span<std::byte> bytes) : bytes_(bytes) {}
  [[nodiscard]] bool is_free(std::uint64_t offset, std::uint64_t bytes) const VMM_REQUIRES(mutex_);
  /// Puts fresh memory there in place of what is.
  Result<void> vacate(std::uint64_t offset, std::uint64_t bytes) VMM_REQUIRES(mutex_);

  const std::span<std::byte> bytes_;
  Mutex mutex_;
  std::map<std::uint64_t, std::uint64_t> mapped_ VMM_GUARDED_BY(mutex_);  // offset to bytes
};

}  // namespace vmm::vhost_user_frontend
