// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "vmm/base/mutex.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_device/interrupt.h"

namespace vmm::virtio_balloon {

/// What the device, its worker and the VMM share. Threads: any.
class Balloon::Shared {
 public:
  Shared(std::uint32_t target_pages, sys_util::EventFd request)
      : target_(target_pages), request_(std::move(request)) {}

  /// The driver is told.
  void set_target(std::uint32_t pages);
  [[nodiscard]] std::uint32_t target() const;
  [[nodiscard]] std::uint32_t actual() const;
  [[nodiscard]] std::uint32_t poison() const;

  void read_config(std::span<std::byte> config) const;
  void write_config(std::uint64_t offset, std::span<const std::byte> data);

  void attach(std::shared_ptr<virtio_device::Interrupt> interrupt);
  void reset();

  /// Readable when statistics are wanted.
  [[nodiscard]] const sys_util::EventFd& request() const { return request_; }
  void set_statistics(const Statistics& statistics);
  [[nodiscard]] std::optional<Statistics> statistics() const;

 private:
  mutable Mutex mutex_;
  std::uint32_t target_ VMM_GUARDED_BY(mutex_);
  std::uint32_t actual_ VMM_GUARDED_BY(mutex_) = 0;
  std::uint32_t poison_ VMM_GUARDED_BY(mutex_) = 0;
  std::optional<Statistics> statistics_ VMM_GUARDED_BY(mutex_);
  std::shared_ptr<virtio_device::Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
  sys_util::EventFd request_;
};

}  // namespace vmm::virtio_balloon
