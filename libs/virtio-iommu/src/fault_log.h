// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "layout.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vm_memory/translation.h"

namespace vmm::virtio_iommu {

/// Faults on their way to the driver: a few of them, and those beyond are dropped, as 5.13.6.9
/// allows.
///
/// Threads: any. Its lock is the innermost, and held for some instructions.
class FaultLog {
 public:
  static constexpr std::size_t kMost = 64;

  static Result<std::shared_ptr<FaultLog>> create();

  void add(const Fault& fault);
  /// The oldest, to be dropped when it was delivered.
  [[nodiscard]] std::optional<Fault> oldest();
  void drop_oldest();
  void clear();
  /// Readable when something was added since the last call of calm().
  [[nodiscard]] int fd() const { return news_.fd(); }
  void calm() { (void)news_.take(); }

 private:
  explicit FaultLog(sys_util::EventFd news) : news_(std::move(news)) {}

  sys_util::EventFd news_;
  Mutex mutex_;
  std::array<Fault, kMost> faults_ VMM_GUARDED_BY(mutex_){};
  std::size_t first_ VMM_GUARDED_BY(mutex_) = 0;
  std::size_t count_ VMM_GUARDED_BY(mutex_) = 0;
};

/// Notes the faults of one endpoint, in one of its states.
class EndpointFaults final : public vm_memory::FaultHandler {
 public:
  /// `reason` as in a Fault.
  EndpointFaults(std::shared_ptr<FaultLog> log, std::uint32_t endpoint, std::uint8_t reason)
      : log_(std::move(log)), endpoint_(endpoint), reason_(reason) {}

  void missing(Iova iova, std::uint64_t bytes, vm_memory::Access access) override;
  void denied(Iova iova, std::uint64_t bytes, vm_memory::Access access) override;

 private:
  const std::shared_ptr<FaultLog> log_;
  const std::uint32_t endpoint_;
  const std::uint8_t reason_;
};

}  // namespace vmm::virtio_iommu
