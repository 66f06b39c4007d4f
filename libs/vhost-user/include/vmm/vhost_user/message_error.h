// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vhost_user {

/// What is wrong with a message of the peer.
enum class MessageError : std::uint8_t {
  // Of the connection.
  kPartial,     ///< the peer went away within a message
  kBadVersion,  ///< not version 1, or flags that nobody knows
  kTooLarge,    ///< a payload beyond kMaxPayload
  kStrayFds,    ///< descriptors elsewhere than with a message's first byte, or more than kMaxFds
  kReplyFlag,   ///< a reply where a request should come, or the other way round

  // Of one message, whatever came before.
  kUnknownCode,
  kBadSize,       ///< the payload is no such structure
  kBadFdCount,    ///< descriptors are missing or too many
  kBadPadding,    ///< what is reserved is not zero
  kBadFlags,      ///< bits that nobody knows, or that contradict the descriptors
  kBadValue,      ///< a number out of its range
  kBadAlignment,  ///< a ring's address
  kBadRange,      ///< empty, beyond what there is, or beyond 2^64
  kOverlap,       ///< regions overlap

  // Of one message at this moment.
  kNotNegotiated,  ///< the feature it needs was not agreed on
  kNotOffered,     ///< sets features that were not offered
  kBadQueue,       ///< there is no such queue
  kBadState,       ///< not now
  kTooMany,        ///< no more memory slots
  kNotFound,       ///< no such region
  kNotSupported,   ///< this side does not do that
  kRefused,        ///< the peer answered that it failed; Error::what() says at which request
  kBadReply,       ///< the answer does not fit the question
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(MessageError error);

}  // namespace vmm::vhost_user
