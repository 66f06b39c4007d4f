// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/user_error.h"

#include <array>
#include <cerrno>

namespace vmm::vfio_user {
namespace {

constexpr std::array<std::string_view, 18> kTexts = {
    "the peer has gone",
    "the peer went away within a message",
    "unknown type or flags of a message",
    "a message shorter than its header",
    "message too long",
    "stray file descriptors",
    "a reply that does not fit",
    "not now",
    "too many commands that wait",
    "unknown command",
    "wrong size of a message",
    "wrong number of file descriptors",
    "bad flags",
    "another major version",
    "capabilities that cannot be read",
    "a range that is empty or beyond its end",
    "addresses that are not mapped",
    "memory that may only be read",
};
static_assert(kTexts.size() == static_cast<std::size_t>(UserError::kNotWritable) + 1);

std::string_view message(std::int32_t code) {
  const auto index = static_cast<std::size_t>(code);
  return index < kTexts.size() ? kTexts[index] : "unknown";
}

constexpr ErrorDomain kDomain{"vfio-user", &message};

}  // namespace

Error make_error(UserError error) {
  return {kDomain, static_cast<std::int32_t>(error), "vfio-user message"};
}

std::uint32_t errno_of(const Error& error) {
  if (error.domain() == kOsDomain) return static_cast<std::uint32_t>(error.code());
  if (&error.domain() != &kDomain) return EINVAL;
  switch (static_cast<UserError>(error.code())) {
    case UserError::kUnknownCommand:
      return ENOTSUP;
    case UserError::kNotMapped:
      return EFAULT;
    case UserError::kNotWritable:
      return EACCES;
    default:
      return EINVAL;
  }
}

}  // namespace vmm::vfio_user
