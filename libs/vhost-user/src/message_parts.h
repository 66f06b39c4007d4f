// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the parsers of both directions share.

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user {

/// Errors: kBadSize, kBadFdCount.
inline Result<void, MessageError> want(const Message& message, std::size_t bytes, std::size_t fds) {
  if (message.payload.size() != bytes) return fail(MessageError::kBadSize);
  if (message.fds.size() != fds) return fail(MessageError::kBadFdCount);
  return {};
}

inline Result<void, MessageError> want_empty(const Message& message) { return want(message, 0, 0); }

/// The payload, which is a T. Errors: kBadSize, kBadFdCount.
template <Payload T>
Result<T, MessageError> payload_of(const Message& message, std::size_t fds = 0) {
  VMM_TRY_DO(want(message, sizeof(T), fds));
  return *exactly_as<T>(message.payload);
}

/// A number that says a queue and whether a descriptor came with it.
/// Errors: kBadFlags for others, kBadFdCount when it is not so.
inline Result<void, MessageError> check_ring_fd(std::uint64_t number, std::size_t fds) {
  if ((number & ~(kNoFd | 0xff)) != 0) return fail(MessageError::kBadFlags);
  if (fds != ((number & kNoFd) != 0 ? 0u : 1u)) return fail(MessageError::kBadFdCount);
  return {};
}

}  // namespace vmm::vhost_user
