// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "bar_parts.h"

#include <algorithm>
#include <limits>

#include "vmm/base/checked.h"

namespace vmm::vfio_pci::detail {
namespace {

using vfio::RegionArea;

/// [begin, end)
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

void add(std::vector<RegionArea>& out, Range range) {
  if (range.begin < range.end) {
    out.push_back({.offset = range.begin, .bytes = range.end - range.begin});
  }
}

std::vector<RegionArea> cut(const std::vector<RegionArea>& areas, Range hole) {
  std::vector<RegionArea> left;
  for (const RegionArea& area : areas) {
    const Range whole{area.offset, area.offset + area.bytes};
    add(left, {whole.begin, std::min(whole.end, hole.begin)});
    add(left, {std::max(whole.begin, hole.end), whole.end});
  }
  return left;
}

}  // namespace

Piece BarParts::first(const BarArea& access) const {
  Piece piece{.part = nullptr, .offset = access.offset, .bytes = access.bytes};
  for (const BarPart& part : parts_) {
    if (part.area.bar != access.bar) continue;
    if (part.area.offset > access.offset) {
      piece.bytes = std::min<std::uint64_t>(piece.bytes, part.area.offset - access.offset);
    } else if (access.offset - part.area.offset < part.area.bytes) {
      const std::uint64_t rest = part.area.bytes - (access.offset - part.area.offset);
      return {.part = &part,
              .offset = access.offset,
              .bytes = std::min<std::uint64_t>(access.bytes, rest)};
    }
  }
  return piece;
}

std::vector<RegionArea> BarParts::without_parts(std::uint8_t bar, std::span<const RegionArea> areas,
                                                std::uint64_t page) const {
  std::vector<RegionArea> left(areas.begin(), areas.end());
  for (const BarPart& part : parts_) {
    if (part.area.bar != bar) continue;
    const std::uint64_t end = part.area.offset + part.area.bytes;
    left =
        cut(left, {.begin = align_down(part.area.offset, page),
                   .end = align_up(end, page).value_or(std::numeric_limits<std::uint64_t>::max())});
  }
  return left;
}

}  // namespace vmm::vfio_pci::detail
