// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/sys_util/ioctl.h"

namespace vmm::kvm_ioctls {

/// The common shapes of KVM's ioctls: answers dropped, numbers converted.
inline Result<void> call(int fd, sys_util::IoctlRequest request, std::uintptr_t argument = 0) {
  VMM_TRY_DO(sys_util::ioctl(fd, request, argument));
  return {};
}
inline Result<void> call(int fd, sys_util::IoctlRequest request, void* argument) {
  VMM_TRY_DO(sys_util::ioctl(fd, request, argument));
  return {};
}
inline Result<void> call(int fd, sys_util::IoctlRequest request, const void* argument) {
  VMM_TRY_DO(sys_util::ioctl(fd, request, argument));
  return {};
}
/// For structures that the kernel fills in completely, as it does for each request of direction
/// _IOR: they are built in place and not zeroed first, as some are large.
template <class T>
Result<T> read(int fd, sys_util::IoctlRequest request) {
  Result<T> value{Uninitialized()};
  const auto answer = sys_util::ioctl(fd, request, static_cast<void*>(&*value));
  if (!answer) [[unlikely]]
    value = fail(answer.error());
  return value;
}

}  // namespace vmm::kvm_ioctls
