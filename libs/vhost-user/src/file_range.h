// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/vhost_user/message_error.h"

namespace vmm::vhost_user {

/// What is wrong with a range of the peer's file is the message's mistake.
template <class T>
Result<T> as_message_error(Result<T> result) {
  if (!result && result.error().is_os(ERANGE)) return fail(MessageError::kBadRange);
  return result;
}

/// Checks that a file which the peer sent holds a range, so that it can be mapped and touched.
/// Returns the size of its pages. Errors: kBadRange; those of fstat(2).
inline Result<std::uint64_t> check_file_range(int fd, std::uint64_t offset, std::uint64_t bytes) {
  return as_message_error(sys_util::check_file_range(fd, offset, bytes));
}

}  // namespace vmm::vhost_user
