// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_iommu/memory_endpoint.h"

#include <utility>

#include "vmm/vm_memory/translation_builder.h"

namespace vmm::virtio_iommu {
namespace {

using vm_memory::Access;
using vm_memory::GuestMemory;
using vm_memory::RegionMap;
using vm_memory::TranslationBuilder;

class NoFaults final : public vm_memory::FaultHandler {
 public:
  void missing(Iova, std::uint64_t, Access) override {}
  void denied(Iova, std::uint64_t, Access) override {}
};

std::shared_ptr<const RegionMap> nothing() {
  return TranslationBuilder(RegionMap::empty())
      .build({.faults = std::make_shared<NoFaults>(), .complete = true});
}

// Identity is a translation too: queues have one way to look at memory then, which never acts by
// what was true before the driver changed it.
void add_all(TranslationBuilder& builder, const RegionMap& memory) {
  for (const auto& region : memory.regions()) {
    (void)builder.add({.iova = Iova(region->base().raw()),
                       .bytes_less_one = region->bytes() - 1,
                       .target = region->base(),
                       .access = Access::kReadWrite});
  }
}

// What leads to registers, or to memory that is not there any more, leads nowhere.
void add_mappings(TranslationBuilder& builder, const Mappings& mappings) {
  builder.reserve(mappings.size());
  for (const auto& [first, mapping] : mappings) {
    (void)builder.add({.iova = mapping.first,
                       .bytes_less_one = mapping.bytes_less_one(),
                       .target = mapping.target,
                       .access = mapping.access});
  }
}

}  // namespace

MemoryEndpoint::MemoryEndpoint() : memory_(GuestMemory::adopt(nothing())) {}

Result<void> MemoryEndpoint::enter(const Space& space) {
  rebuild(space);
  return {};
}

Result<void> MemoryEndpoint::map(const Mapping&, const RegionMap&) {
  changed_ = true;
  return {};
}

Result<void> MemoryEndpoint::unmap(const Mapping&) {
  changed_ = true;
  return {};
}

void MemoryEndpoint::commit(const Space& space) {
  if (changed_) rebuild(space);
}

void MemoryEndpoint::rebuild(const Space& space) {
  changed_ = false;
  TranslationBuilder builder(space.memory);
  if (space.reach == Reach::kAll) add_all(builder, *space.memory);
  if (space.reach == Reach::kMapped) add_mappings(builder, space.mappings);
  memory_.replace(std::move(builder).build({.faults = space.faults, .complete = true}));
}

}  // namespace vmm::virtio_iommu
