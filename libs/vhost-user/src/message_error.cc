// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/message_error.h"

#include <array>

namespace vmm::vhost_user {
namespace {

constexpr std::array<std::string_view, 23> kTexts = {
    "the peer went away within a message",
    "unknown version or flags of a message",
    "message too large",
    "stray file descriptors",
    "a reply where a request should come, or the other way round",
    "unknown request",
    "wrong size of a message",
    "wrong number of file descriptors",
    "reserved fields are not zero",
    "bad flags",
    "a number out of range",
    "misaligned ring",
    "a range that is empty or beyond its end",
    "memory regions overlap",
    "the feature was not negotiated",
    "features that were not offered",
    "no such queue",
    "not in this state",
    "too many memory regions",
    "no such memory region",
    "not supported",
    "the peer refused",
    "the answer does not fit",
};
static_assert(kTexts.size() == static_cast<std::size_t>(MessageError::kBadReply) + 1);

std::string_view message(std::int32_t code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kTexts.size() ? kTexts[index] : "unknown";
}

constexpr ErrorDomain kDomain{"vhost-user", &message};

}  // namespace

Error make_error(MessageError error) {
  return {kDomain, static_cast<std::int32_t>(error), "vhost-user message"};
}

}  // namespace vmm::vhost_user
