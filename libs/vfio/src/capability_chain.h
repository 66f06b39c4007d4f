// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <linux/vfio.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <type_traits>

#include "vmm/base/result.h"
#include "vmm/vfio/vfio_error.h"

namespace vmm::vfio {

/// Reads an object; false when the bytes end before.
template <class T>
bool read_object(std::span<const std::byte> bytes, std::size_t at, T& out) {
  if (at > bytes.size() || bytes.size() - at < sizeof(T)) return false;
  std::memcpy(&out, bytes.data() + at, sizeof(T));
  return true;
}

/// Calls visit(id, at) for each capability of an answer, where `at` is its offset in `bytes`.
/// Offsets may lead anywhere behind the fixed part; there are no more steps than headers fit in.
template <class Visit>
std::invoke_result_t<Visit&, std::uint16_t, std::size_t> for_each_capability(
    std::span<const std::byte> bytes, std::size_t first, std::size_t fixed_bytes, Visit&& visit) {
  std::size_t left = bytes.size() / sizeof(vfio_info_cap_header);
  for (std::size_t at = first; at != 0; --left) {
    vfio_info_cap_header header{};
    if (left == 0 || at < fixed_bytes || !read_object(bytes, at, header)) {
      return fail(VfioError::kBadCapability);
    }
    VMM_TRY_DO(visit(header.id, at));
    at = header.next;
  }
  return {};
}

}  // namespace vmm::vfio
