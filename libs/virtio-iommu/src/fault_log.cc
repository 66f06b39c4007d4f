// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "fault_log.h"

namespace vmm::virtio_iommu {

using vm_memory::Access;

Result<std::shared_ptr<FaultLog>> FaultLog::create() {
  VMM_TRY(auto news, sys_util::EventFd::create());
  return std::shared_ptr<FaultLog>(new FaultLog(std::move(news)));
}

void FaultLog::add(const Fault& fault) {
  {
    const MutexLock lock(mutex_);
    if (count_ == kMost) return;
    faults_[(first_ + count_++) % kMost] = fault;
  }
  (void)news_.add();
}

std::optional<Fault> FaultLog::oldest() {
  const MutexLock lock(mutex_);
  if (count_ == 0) return std::nullopt;
  return faults_[first_];
}

void FaultLog::drop_oldest() {
  const MutexLock lock(mutex_);
  if (count_ == 0) return;
  first_ = (first_ + 1) % kMost;
  --count_;
}

void FaultLog::clear() {
  const MutexLock lock(mutex_);
  count_ = 0;
}

void EndpointFaults::missing(Iova iova, std::uint64_t, Access access) {
  std::uint32_t flags = kFaultAddress;
  if (permits(access, Access::kRead)) flags |= kFaultRead;
  if (permits(access, Access::kWrite)) flags |= kFaultWrite;
  log_->add({.reason = reason_,
             .reserved = {},
             .flags = Le32(flags),
             .endpoint = Le32(endpoint_),
             .reserved1 = {},
             .address = Le64(iova.raw())});
}

void EndpointFaults::denied(Iova iova, std::uint64_t bytes, Access access) {
  missing(iova, bytes, access);
}

}  // namespace vmm::virtio_iommu
