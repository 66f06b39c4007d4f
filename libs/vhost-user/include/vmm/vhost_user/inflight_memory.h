// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::vhost_user {

/// The memory in which a back end notes what is in flight, and which the front end keeps for the
/// back end's successor: a region for each queue, of which the layout is that of
/// virtio_queue::SplitInflight or PackedInflight.
///
/// Threads: one at a time; regions of different queues at the same time.
class InflightMemory {
 public:
  /// Makes new memory for these queues, all zeros. Errors: kBadValue for numbers that cannot be;
  /// those of memfd_create(2) and mmap(2).
  static Result<InflightMemory> create(std::uint16_t queue_count, std::uint16_t queue_size,
                                       bool packed);
  /// Maps memory that the front end kept. Errors: kBadRange when it is too small for these queues,
  /// or beyond its file; those of mmap(2) and fstat(2).
  static Result<InflightMemory> open(const InflightArea& area, UniqueFd fd, bool packed);

  /// As told to the front end; the descriptor is borrowed.
  [[nodiscard]] const InflightArea& area() const { return area_; }
  [[nodiscard]] int fd() const { return fd_.get(); }  ///< borrowed
  /// The region of a queue; nullopt when there is none.
  [[nodiscard]] std::optional<vm_memory::GuestSlice> queue(std::uint32_t index) const;

 private:
  InflightMemory(UniqueFd fd, sys_util::FileMapping mapped, const InflightArea& area, bool packed)
      : fd_(std::move(fd)), mapped_(std::move(mapped)), area_(area), packed_(packed) {}
  static Result<InflightMemory> map(const InflightArea& area, UniqueFd fd, bool packed);

  UniqueFd fd_;
  sys_util::FileMapping mapped_;
  InflightArea area_;
  bool packed_;
};

}  // namespace vmm::vhost_user
