// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/block/image.h"

namespace vmm::block {

/// Appends an extent, or makes the one before longer; answers false when there is no room.
inline bool append_extent(std::span<Extent> out, std::size_t& count, const Extent& extent) {
  if (count != 0) {
    Extent& last = out[count - 1];
    const bool follows = last.fd == extent.fd && last.zeros_past_end == extent.zeros_past_end &&
                         extent.file_offset == last.file_offset + last.bytes;
    if (last.kind == extent.kind &&
        (extent.kind == Extent::Kind::kZero || (extent.kind == Extent::Kind::kData && follows))) {
      last.bytes += extent.bytes;
      return true;
    }
  }
  if (count == out.size()) return false;
  out[count++] = extent;
  return true;
}

}  // namespace vmm::block
