// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vfio_user {

/// What is wrong with a message of the peer, or with the conversation. What a peer answers to a
/// command is an errno value instead.
enum class UserError : std::uint8_t {
  // The conversation is over.
  kDisconnected,  ///< the peer has gone
  kPartial,       ///< it went within a message
  kBadHeader,     ///< a type or flags that nobody knows
  kTooShort,      ///< a message shorter than its header
  kTooLong,       ///< a message beyond what we take
  kStrayFds,      ///< descriptors elsewhere than with a message's first byte, or too many
  kBadReply,      ///< a reply that nobody waits for, or that does not fit the command
  kNotNow,        ///< kVersion twice, or something else before it
  kTooMany,       ///< commands without end while a reply was waited for

  // One message makes no sense.
  kUnknownCommand,
  kBadSize,      ///< the payload is no such structure
  kBadFdCount,   ///< descriptors are missing or too many
  kBadFlags,     ///< bits that nobody knows, or that contradict each other
  kBadVersion,   ///< another major version
  kBadJson,      ///< capabilities that cannot be read
  kBadRange,     ///< empty, too long, beyond its end, or beyond 2^64
  kNotMapped,    ///< addresses that were not given for DMA
  kNotWritable,  ///< memory that may only be read
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(UserError error);
/// The errno value that tells the peer of an error: EINVAL for most of ours.
[[nodiscard]] std::uint32_t errno_of(const Error& error);

}  // namespace vmm::vfio_user
