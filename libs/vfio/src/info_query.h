// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vfio/device_info.h"
#include "vmm/vfio/kernel.h"

namespace vmm::vfio {

/// Asks for a structure that begins with its own size, and once more if its answer is longer than
/// the structure. The bytes are at least those of `question`.
/// Errors: kShortInfo, kInfoTooLarge; those of the kernel.
template <class Question>
Result<std::vector<std::byte>> query(Kernel& kernel, int fd, sys_util::IoctlRequest request,
                                     Question question) {
  question.argsz = sizeof(question);
  std::vector<std::byte> bytes(sizeof(question));
  std::memcpy(bytes.data(), &question, sizeof(question));
  VMM_TRY_DO(kernel.ioctl(fd, request, static_cast<void*>(bytes.data())));
  std::uint32_t answer_bytes = 0;
  std::memcpy(&answer_bytes, bytes.data(), sizeof(answer_bytes));
  if (answer_bytes <= sizeof(question)) return bytes;
  if (answer_bytes > kMaxInfoBytes) return fail(VfioError::kInfoTooLarge);

  bytes.assign(answer_bytes, std::byte{0});
  question.argsz = answer_bytes;
  std::memcpy(bytes.data(), &question, sizeof(question));
  VMM_TRY_DO(kernel.ioctl(fd, request, static_cast<void*>(bytes.data())));
  return bytes;
}

}  // namespace vmm::vfio
