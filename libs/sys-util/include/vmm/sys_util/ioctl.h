// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/detail/raw_ioctl.h"

namespace vmm::sys_util {

/// An ioctl request together with its name, so that an error says which call failed.
struct IoctlRequest {
  unsigned long number;  ///< as the kernel's headers define it, size and direction included
  const char* name;      ///< static storage
};

/// Calls ioctl(2) once and returns its non-negative answer; EINTR is an error like any other.
///
/// The argument is always passed: KVM refuses argument-less requests whose register holds garbage.
/// Errors: the errno of the call, with the request's name. errno itself is not part of the answer.
inline Result<int> ioctl(int fd, IoctlRequest request, std::uintptr_t argument = 0) {
  const int answer = detail::raw_ioctl(fd, request.number, argument);
  if (answer < 0) [[unlikely]]
    return fail(Error::os(-answer, request.name));
  return answer;
}
/// The same with a pointer. Kernel-written structures must be passed as non-const pointers.
inline Result<int> ioctl(int fd, IoctlRequest request, void* argument) {
  return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
}
/// For structures that the kernel only reads.
inline Result<int> ioctl(int fd, IoctlRequest request, const void* argument) {
  return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
}

}  // namespace vmm::sys_util

/// VMM_IOCTL(KVM_CREATE_VM): the request and its name.
#define VMM_IOCTL(request) (::vmm::sys_util::IoctlRequest{(request), #request})
