// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "given_pages.h"

#include <algorithm>
#include <utility>

#include "vmm/base/checked.h"

namespace vmm::virtio_balloon {

using vm_memory::Region;
using vm_memory::RegionMap;

// Page numbers have 32 bits, so no product passes 2^44.
template <class Visit>
void GivenPages::for_each_range(const RegionMap& map, const PageRun& run, Visit&& visit) {
  for (std::uint64_t page = run.first; page < run.first + run.count;) {
    const Region* const region = map.find(GuestAddress(page * kPageBytes));
    if (region == nullptr) {
      ++page;
      continue;
    }
    const std::uint64_t offset = page * kPageBytes - region->base().raw();
    const std::uint64_t left = (region->bytes() - offset) / kPageBytes;
    const std::uint64_t count = std::min(run.first + run.count - page, left);
    if (count != 0 && offset % kPageBytes == 0) {
      visit(Range{.region = *region, .first = offset / kPageBytes, .count = count});
    }
    page += std::max(count, std::uint64_t{1});
  }
}

void GivenPages::give(const std::shared_ptr<const RegionMap>& map, const PageRun& run) {
  follow(map);
  for_each_range(*map, run, [this](const Range& range) {
    const std::uint64_t granule = reclaim_.granule(range.region);
    if (granule > kPageBytes && remember_) return give_parts(range, granule);
    give_whole(range, granule);
  });
}

void GivenPages::take(const std::shared_ptr<const RegionMap>& map, const PageRun& run) {
  follow(map);
  for_each_range(*map, run, [this](const Range& range) {
    const auto parts =
        std::ranges::find(parts_, &range.region, [](const Parts& p) { return p.region.get(); });
    if (parts == parts_.end()) return;
    for (std::uint64_t page = range.first; page < range.first + range.count; ++page) {
      if (!parts->given[page]) continue;
      parts->given[page] = false;
      --parts->counts[page * kPageBytes / parts->granule];
    }
  });
}

// Regions that are gone took their pages along.
void GivenPages::follow(const std::shared_ptr<const RegionMap>& map) {
  if (map_ == map) return;
  map_ = map;
  std::erase_if(parts_, [&](const Parts& parts) {
    return std::ranges::find(map->regions(), parts.region) == map->regions().end();
  });
}

GivenPages::Parts& GivenPages::parts_of(const Range& range, std::uint64_t granule) {
  const auto found =
      std::ranges::find(parts_, &range.region, [](const Parts& p) { return p.region.get(); });
  if (found != parts_.end()) return *found;
  const auto region =
      std::ranges::find(map_->regions(), &range.region, [](const auto& r) { return r.get(); });
  parts_.push_back({.region = *region,
                    .granule = granule,
                    .given = std::vector<bool>(range.region.bytes() / kPageBytes),
                    .counts = std::vector<std::uint32_t>(range.region.bytes() / granule + 1)});
  return parts_.back();
}

void GivenPages::give_whole(const Range& range, std::uint64_t granule) {
  const auto begin = align_up(range.first * kPageBytes, granule);
  const std::uint64_t end = align_down((range.first + range.count) * kPageBytes, granule);
  if (begin && *begin < end) reclaim_.reclaim(range.region, {*begin, end - *begin});
}

// Complete ones that follow each other are given at once.
void GivenPages::give_parts(const Range& range, std::uint64_t granule) {
  Parts& parts = parts_of(range, granule);
  const std::uint64_t per_granule = granule / kPageBytes;
  const std::uint64_t end = range.first + range.count;
  std::uint64_t begun = 0;  // of the complete ones before `page`
  std::uint64_t complete = 0;
  const auto flush = [&] {
    if (complete != 0) reclaim_.reclaim(range.region, {begun * granule, complete * granule});
    complete = 0;
  };
  for (std::uint64_t page = range.first; page < end;) {
    const std::uint64_t host_page = page / per_granule;
    const std::uint64_t stop = std::min(end, (host_page + 1) * per_granule);
    for (; page < stop; ++page) {
      if (!parts.given[page]) ++parts.counts[host_page];
      parts.given[page] = true;
    }
    if (parts.counts[host_page] != per_granule) {
      flush();
      continue;
    }
    if (complete++ == 0) begun = host_page;
  }
  flush();
}

}  // namespace vmm::virtio_balloon
