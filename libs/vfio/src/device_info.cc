// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/device_info.h"

#include <algorithm>

#include "capability_chain.h"
#include "uapi.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::vfio {
namespace {

using Bytes = std::span<const std::byte>;

bool is_whole_pages(const RegionArea& area) {
  const std::uint64_t page = sys_util::page_size();
  return area.offset % page == 0 && area.bytes % page == 0;
}

// Areas without bytes or of parts of pages are left out: they cannot be mapped anyhow.
Result<void, VfioError> read_areas(Bytes bytes, std::size_t at, RegionInfo& info) {
  uapi::SparseAreasHead header;
  if (!read_object(bytes, at, header)) return fail(VfioError::kBadCapability);
  at += sizeof(header);
  for (std::uint32_t i = 0; i < header.nr_areas; ++i) {
    vfio_region_sparse_mmap_area area{};
    if (!read_object(bytes, at, area)) return fail(VfioError::kBadCapability);
    at += sizeof(area);
    if (area.offset > info.bytes || area.size > info.bytes - area.offset) {
      return fail(VfioError::kBadArea);
    }
    const RegionArea found{.offset = area.offset, .bytes = area.size};
    const bool useful = found.bytes != 0 && is_whole_pages(found);
    if (useful && info.mappable.size() < kMaxAreas) info.mappable.push_back(found);
  }
  return {};
}

Result<void, VfioError> read_type(Bytes bytes, std::size_t at, RegionInfo& info) {
  vfio_region_info_cap_type type{};
  if (!read_object(bytes, at, type)) return fail(VfioError::kBadCapability);
  info.type = RegionType{.type = type.type, .subtype = type.subtype};
  return {};
}

// Areas that overlap would be mapped twice.
Result<void, VfioError> sort_areas(std::vector<RegionArea>& areas) {
  std::ranges::sort(areas, {}, &RegionArea::offset);
  for (std::size_t i = 1; i < areas.size(); ++i) {
    if (areas[i].offset - areas[i - 1].offset < areas[i - 1].bytes) {
      return fail(VfioError::kBadArea);
    }
  }
  return {};
}

}  // namespace

Result<RegionInfo, VfioError> parse_region_info(Bytes bytes) {
  vfio_region_info raw{};
  if (!read_object(bytes, 0, raw)) return fail(VfioError::kShortInfo);
  RegionInfo info{.index = raw.index,
                  .readable = (raw.flags & VFIO_REGION_INFO_FLAG_READ) != 0,
                  .writable = (raw.flags & VFIO_REGION_INFO_FLAG_WRITE) != 0,
                  .msix_mappable = false,
                  .bytes = raw.size,
                  .file_offset = raw.offset,
                  .mappable = {},
                  .type = std::nullopt};
  if (info.bytes > UINT64_MAX - info.file_offset) return fail(VfioError::kBadArea);
  bool listed = false;
  if ((raw.flags & VFIO_REGION_INFO_FLAG_CAPS) != 0) {
    VMM_TRY_DO(
        for_each_capability(bytes, raw.cap_offset, sizeof(raw),
                            [&](std::uint16_t id, std::size_t at) -> Result<void, VfioError> {
                              if (id == VFIO_REGION_INFO_CAP_MSIX_MAPPABLE)
                                info.msix_mappable = true;
                              if (id == VFIO_REGION_INFO_CAP_TYPE)
                                return read_type(bytes, at, info);
                              if (id != VFIO_REGION_INFO_CAP_SPARSE_MMAP || listed) return {};
                              listed = true;
                              return read_areas(bytes, at, info);
                            }));
  }
  const RegionArea all{.offset = 0, .bytes = info.bytes};
  if ((raw.flags & VFIO_REGION_INFO_FLAG_MMAP) == 0) {
    info.mappable.clear();
  } else if (!listed && info.bytes != 0 && is_whole_pages(all)) {
    info.mappable.push_back(all);
  }
  VMM_TRY_DO(sort_areas(info.mappable));
  return info;
}

}  // namespace vmm::vfio
