// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/payload.h"
#include "vmm/base/result.h"
#include "vmm/vfio_user/channel.h"
#include "vmm/vfio_user/user_error.h"

// What the parsers of a server's commands share.

namespace vmm::vfio_user {

/// A structure, and what follows it.
template <class T>
struct Parts {
  T fixed;
  std::span<const std::byte> data;
};

/// Errors: kBadSize when there is less than the structure; kBadFdCount for descriptors.
template <class T, class Request>
Result<Parts<T>> parts_of(const Request& request) {
  const auto fixed = front_as<T>(request.payload);
  if (!fixed) return fail(UserError::kBadSize);
  if (!request.fds.empty()) return fail(UserError::kBadFdCount);
  return Parts<T>{.fixed = *fixed, .data = request.payload.subspan(sizeof(T))};
}

/// Nothing but the structure. Errors: kBadSize, kBadFdCount.
template <class T, class Request>
Result<T> whole_of(const Request& request) {
  VMM_TRY(const auto parts, parts_of<T>(request));
  if (!parts.data.empty()) return fail(UserError::kBadSize);
  return parts.fixed;
}

template <class T>
Body body_of(const T& fixed, std::span<const std::byte> data = {}, std::span<const int> fds = {}) {
  return {.fixed = bytes_of(fixed), .data = data, .fds = fds};
}

}  // namespace vmm::vfio_user
