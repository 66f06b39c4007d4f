// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_iommu/dma_endpoint.h"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <utility>

#include "vmm/base/log.h"

namespace vmm::virtio_iommu {

using vm_memory::Access;
using vm_memory::Region;
using vm_memory::RegionMap;

namespace {

struct Part {
  std::uint64_t raw_first;
  std::uint64_t bytes;
};

/// What of a mapping's target is in a region.
std::optional<Part> part_of(const Mapping& mapping, const Region& region) {
  const std::uint64_t last = mapping.target.raw() + mapping.bytes_less_one();
  const std::uint64_t from = std::max(mapping.target.raw(), region.base().raw());
  const std::uint64_t to = std::min(last, region.last_address().raw());
  if (from > to) return std::nullopt;
  return Part{.raw_first = from, .bytes = to - from + 1};
}

std::vector<const Region*> regions_of(const Mapping& mapping, const RegionMap& memory) {
  std::vector<const Region*> regions;
  for (const auto& region : memory.regions()) {
    if (part_of(mapping, *region)) regions.push_back(region.get());
  }
  return regions;
}

/// All of guest memory at its own addresses.
Mappings identity(const RegionMap& memory) {
  Mappings mappings;
  for (const auto& region : memory.regions()) {
    const std::uint64_t base = region->base().raw();
    mappings.emplace(base, Mapping{.first = Iova(base),
                                   .last = region->last_address().raw(),
                                   .target = region->base(),
                                   .access = Access::kReadWrite,
                                   .mmio = false});
  }
  return mappings;
}

}  // namespace

DmaEndpoint::DmaEndpoint(std::shared_ptr<vfio::AddressSpace> space,
                         std::vector<ReservedRange> reserved, const Limits& limits)
    : space_(std::move(space)), reserved_(std::move(reserved)), limits_(limits) {}

Result<std::vector<ReservedRange>> DmaEndpoint::reserved_by(vfio::AddressSpace& space,
                                                            std::uint64_t last) {
  VMM_TRY(const std::vector<vfio::DmaSpan> usable, space.usable());
  std::vector<ReservedRange> reserved;
  if (usable.empty()) return reserved;  // the kernel does not know
  std::uint64_t next = 0;
  for (const vfio::DmaSpan& span : usable) {
    if (span.bytes == 0 || span.iova > last) continue;
    if (span.iova > next) reserved.push_back({.first = next, .last = span.iova - 1});
    if (span.bytes > UINT64_MAX - span.iova) return reserved;
    next = std::max(next, span.iova + span.bytes);
  }
  // One that ends at the very end of all addresses counts one byte less than it has.
  if (next <= last && next != UINT64_MAX) reserved.push_back({.first = next, .last = last});
  return reserved;
}

Result<void> DmaEndpoint::enter(const Space& space) {
  if (space.reach == Reach::kMapped) return follow(space.mappings, *space.memory);
  return follow(space.reach == Reach::kAll ? identity(*space.memory) : Mappings(), *space.memory);
}

Result<void> DmaEndpoint::follow(const Mappings& wanted, const RegionMap& memory) {
  for (auto at = mapped_.begin(); at != mapped_.end();) {
    const auto found = wanted.find(at->first);
    const bool stays = found != wanted.end() && found->second == at->second.mapping &&
                       regions_of(found->second, memory) == at->second.regions;
    if (!stays) (void)undo(at->second);  // an error was logged
    at = stays ? std::next(at) : mapped_.erase(at);
  }
  for (const auto& [first, mapping] : wanted) {
    if (mapped_.contains(first)) continue;
    if (auto done = map(mapping, memory); !done) {
      for (auto& [key, mapped] : mapped_) (void)undo(mapped);
      mapped_.clear();
      return done;
    }
  }
  return {};
}

Result<void> DmaEndpoint::map(const Mapping& mapping, const RegionMap& memory) {
  if (mapping.mmio || mapping.access == Access::kNone) return {};
  if (mapping.bytes_less_one() >= limits_.bytes - mapped_bytes_) {
    return fail(Error::os(ENOMEM, "IOMMU: mapped bytes"));
  }
  VMM_TRY(Mapped mapped, make(mapping, memory));
  mapped_bytes_ += mapping.bytes_less_one() + 1;
  mapped_.insert_or_assign(mapping.first.raw(), std::move(mapped));
  return {};
}

// The pieces that there are when one fails are undone by their destructors.
Result<DmaEndpoint::Mapped> DmaEndpoint::make(const Mapping& mapping, const RegionMap& memory) {
  Mapped mapped{.mapping = mapping, .pieces = {}, .regions = regions_of(mapping, memory)};
  for (const auto& region : memory.regions()) {
    const auto part = part_of(mapping, *region);
    if (!part) continue;
    VMM_TRY(auto piece,
            space_->map({.iova = mapping.first.raw() + (part->raw_first - mapping.target.raw()),
                         .memory = region->host().subspan(part->raw_first - region->base().raw(),
                                                          part->bytes),
                         .owner = region,
                         .device_writes = permits(mapping.access, Access::kWrite)}));
    mapped.pieces.push_back(std::move(piece));
  }
  return mapped;
}

Result<void> DmaEndpoint::unmap(const Mapping& mapping) {
  const auto found = mapped_.find(mapping.first.raw());
  if (found == mapped_.end()) return {};
  auto result = undo(found->second);
  mapped_.erase(found);
  return result;
}

Result<void> DmaEndpoint::undo(Mapped& mapped) {
  Result<void> result;
  for (vfio::DmaMapping& piece : mapped.pieces) {
    if (auto done = piece.unmap(); !done) {
      VMM_LOG(kError, "IOMMU: a mapping of the host stays: %s", to_string(done.error()).c_str());
      result = std::move(done);
    }
  }
  mapped.pieces.clear();
  mapped_bytes_ -= mapped.mapping.bytes_less_one() + 1;
  return result;
}

}  // namespace vmm::virtio_iommu
