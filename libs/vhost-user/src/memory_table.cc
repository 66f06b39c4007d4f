// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/memory_table.h"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "file_range.h"
#include "vmm/base/checked.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/sys_util/page_size.h"

namespace vmm::vhost_user {
namespace {

using sys_util::Mapping;
using vm_memory::Region;
using vm_memory::RegionMap;

/// Keeps the mapping as long as the region.
struct MappedRegion {
  std::shared_ptr<const Mapping> mapping;
  std::shared_ptr<const Region> region;
};

bool is_whole_pages(const MemoryRegion& region) {
  const std::uint64_t page = sys_util::page_size();
  return region.guest_address % page == 0 && region.bytes % page == 0 &&
         region.mmap_offset % page == 0;
}

std::uint64_t saturated(std::uint64_t a, std::uint64_t b) {
  return checked_add(a, b).value_or(~std::uint64_t{0});
}

bool overlap(std::uint64_t a, std::uint64_t a_bytes, std::uint64_t b, std::uint64_t b_bytes) {
  return a < b + b_bytes && b < a + a_bytes;
}

}  // namespace

MemoryTable::MemoryTable() : memory_(vm_memory::GuestMemory::adopt(RegionMap::empty())) {}

Result<MemoryTable::Entry> MemoryTable::map(const request::RegionFile& file) const {
  const MemoryRegion& region = file.region;
  if (!is_whole_pages(region)) return fail(MessageError::kBadRange);
  VMM_TRY(auto mapped, as_message_error(sys_util::map_file(file.fd.get(), region.mmap_offset,
                                                           region.bytes, PROT_READ | PROT_WRITE)));
  Entry entry{.region = region,
              .mapping = std::make_shared<const Mapping>(std::move(mapped.mapping)),
              .host = mapped.data,
              .mapped = nullptr};
  VMM_TRY_DO(make_region(entry));
  return entry;
}

Result<void> MemoryTable::make_region(Entry& entry) const {
  VMM_TRY(auto made, Region::create({.base = GuestAddress(entry.region.guest_address),
                                     .bytes = entry.region.bytes,
                                     .backing = vm_memory::Backing::kExternal,
                                     .external = entry.host,
                                     .dirty_tracking = track_}));
  const Region* const plain = made.get();
  const auto holder = std::make_shared<MappedRegion>(MappedRegion{entry.mapping, std::move(made)});
  entry.mapped = std::shared_ptr<const Region>(holder, plain);
  return {};
}

// A sparse file may be of any size; the bitmaps are not sparse.
Result<void> MemoryTable::check_tracked(std::uint64_t bytes) const {
  return bytes <= kMostTracked ? Result<void>() : fail(MessageError::kTooLarge);
}

Result<void> MemoryTable::take(Entries entries) {
  if (entries.size() > kMaxMemSlots) return fail(MessageError::kTooMany);
  std::ranges::sort(entries, {}, [](const Entry& entry) { return entry.region.user_address; });
  for (std::size_t i = 1; i < entries.size(); ++i) {
    const MemoryRegion& a = entries[i - 1].region;
    const MemoryRegion& b = entries[i].region;
    if (overlap(a.user_address, a.bytes, b.user_address, b.bytes)) {
      return fail(MessageError::kOverlap);
    }
  }
  std::ranges::sort(entries, {}, [](const Entry& entry) { return entry.region.guest_address; });
  RegionMap::Regions regions;
  for (const Entry& entry : entries) regions.push_back(entry.mapped);
  auto map = RegionMap::empty();
  if (!regions.empty()) {
    auto made = RegionMap::create(std::move(regions));
    if (!made) return fail(MessageError::kOverlap);
    map = std::move(*made);
  }
  regions_ = std::move(entries);
  memory_.replace(std::move(map));
  return {};
}

Result<void> MemoryTable::set(std::span<const request::RegionFile> files) {
  if (track_) {
    std::uint64_t bytes = 0;
    for (const request::RegionFile& file : files) bytes = saturated(bytes, file.region.bytes);
    VMM_TRY_DO(check_tracked(bytes));
  }
  Entries entries;
  for (const request::RegionFile& file : files) {
    VMM_TRY(auto entry, map(file));
    entries.push_back(std::move(entry));
  }
  return take(std::move(entries));
}

Result<void> MemoryTable::add(const request::RegionFile& file) {
  if (regions_.size() >= kMaxMemSlots) return fail(MessageError::kTooMany);
  if (track_) VMM_TRY_DO(check_tracked(saturated(bytes(), file.region.bytes)));
  Entries entries = regions_;
  VMM_TRY(auto entry, map(file));
  entries.push_back(std::move(entry));
  return take(std::move(entries));
}

Result<void> MemoryTable::remove(const MemoryRegion& region) {
  Entries entries = regions_;
  const auto same = [&](const Entry& entry) {
    return entry.region.guest_address == region.guest_address &&
           entry.region.user_address == region.user_address && entry.region.bytes == region.bytes;
  };
  if (std::erase_if(entries, same) == 0) return fail(MessageError::kNotFound);
  return take(std::move(entries));
}

void MemoryTable::clear() { (void)take({}); }

Result<void> MemoryTable::track_writes(bool on) {
  if (track_ == on) return {};
  if (on) VMM_TRY_DO(check_tracked(bytes()));
  track_ = on;
  Entries entries = regions_;
  for (Entry& entry : entries) {
    const auto made = make_region(entry);
    if (!made) {
      track_ = !on;
      return made;
    }
  }
  return take(std::move(entries));
}

std::uint64_t MemoryTable::bytes() const {
  std::uint64_t bytes = 0;
  for (const Entry& entry : regions_) bytes = saturated(bytes, entry.region.bytes);
  return bytes;
}

std::optional<GuestAddress> MemoryTable::to_guest(std::uint64_t user_address,
                                                  std::uint64_t bytes) const {
  for (const Entry& entry : regions_) {
    const MemoryRegion& region = entry.region;
    if (user_address < region.user_address) continue;
    const std::uint64_t offset = user_address - region.user_address;
    if (fits(offset, bytes, region.bytes) && offset < region.bytes) {
      return GuestAddress(region.guest_address + offset);
    }
  }
  return std::nullopt;
}

std::span<std::byte> MemoryTable::host_of(const MemoryRegion& region) const {
  for (const Entry& entry : regions_) {
    if (entry.region == region) return entry.mapped->host();
  }
  return {};
}

}  // namespace vmm::vhost_user
