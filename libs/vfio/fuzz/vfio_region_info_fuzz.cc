// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What is accepted can be mapped: areas are whole pages of the region, in order, one behind the
// other.

#include <cstdint>
#include <cstdlib>
#include <span>

#include "vmm/vfio/device_info.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vmm::vfio;
  const auto info = parse_region_info(std::as_bytes(std::span(data, size)));
  if (!info) return 0;
  if (info->file_offset + info->bytes < info->file_offset) std::abort();
  std::uint64_t end = 0;
  for (const RegionArea& area : info->mappable) {
    if (area.bytes == 0 || area.offset % 4096 != 0 || area.bytes % 4096 != 0) std::abort();
    if (area.offset < end || area.offset > info->bytes) std::abort();
    if (area.bytes > info->bytes - area.offset) std::abort();
    end = area.offset + area.bytes;
  }
  return 0;
}
