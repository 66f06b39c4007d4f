// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Besides what device_fuzz.h promises: mappings of an endpoint are disjoint, lead to guest memory,
// are as many as are counted and no more than allowed; a device's memory is what its domain says.

#include <map>

#include "device_fuzz.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/virtio_iommu/memory_endpoint.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_iommu;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kRamPages = 32;
constexpr std::size_t kMost = 12;

/// Keeps a second book, which refuses now and then.
class Book final : public Endpoint {
 public:
  Result<void> enter(const Space& space) override {
    mappings.clear();
    reach = Reach::kNothing;
    if (refuses) return fail(Error::os(EIO, "enter"));
    mappings = space.mappings;
    reach = space.reach;
    return {};
  }
  Result<void> map(const Mapping& mapping, const vm_memory::RegionMap&) override {
    require(reach == Reach::kMapped);
    if (refuses) return fail(Error::os(ENOMEM, "map"));
    require(mapping.first.raw() <= mapping.last && (mapping.first.raw() & (kPage - 1)) == 0);
    require(((mapping.last + 1) & (kPage - 1)) == 0);
    const auto above = mappings.upper_bound(mapping.last);
    require(above == mappings.begin() || std::prev(above)->second.last < mapping.first.raw());
    mappings.emplace(mapping.first.raw(), mapping);
    return {};
  }
  Result<void> unmap(const Mapping& mapping) override {
    require(mappings.erase(mapping.first.raw()) == 1);
    if (refuses) return fail(Error::os(EIO, "unmap"));
    return {};
  }
  void commit(const Space& space) override { require(space.mappings == mappings); }

  bool refuses = false;
  Reach reach = Reach::kNothing;
  Mappings mappings;
};

/// Each span is inside of guest memory, behind the one before, and of whole pages.
void check_map(const vm_memory::RegionMap& map, const vm_memory::Region& ram) {
  std::uint64_t next = 0;
  require(map.translation() != nullptr);
  require(map.translation()->access.size() == map.view().regions().size());
  for (const vm_memory::RegionSpan& span : map.view().regions()) {
    require(span.base.raw() >= next && !span.host.empty());
    next = span.base.raw() + (span.host.size() - 1);
    require(span.host.data() >= ram.host().data());
    const auto offset = static_cast<std::uint64_t>(span.host.data() - ram.host().data());
    require(offset % kPage == 0 && offset + span.host.size() <= ram.host().size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = kRamPages * kPage};
  const auto memory = *vm_memory::GuestMemory::create({&ram, 1});
  const auto iommu = *Iommu::create(
      {.memory = memory,
       .last_domain = 3,
       .max_mappings = kMost,
       .bypass = (input.byte() & 1) != 0,
       .msi = ReservedRange{.first = 0xfee0'0000, .last = 0xfeef'ffff, .msi = true}});
  const auto book = std::make_shared<Book>();
  const auto device = std::make_shared<MemoryEndpoint>();
  require(iommu->add_endpoint(0, book).has_value());
  require(iommu->add_endpoint(1, device).has_value());
  const auto check = [&] {
    require(iommu->mapping_count() <= kMost);
    require(book->mappings.size() <= iommu->mapping_count());
    check_map(*device->memory().snapshot(), *memory.snapshot()->regions()[0]);
  };
  fuzz_device(iommu, input, [&](Input& event) {
    check();
    switch (event.byte() % 4) {
      case 0:
        book->refuses = (event.byte() & 1) != 0;
        return;
      case 1:
        if (iommu->add_endpoint(2, std::make_shared<MemoryEndpoint>())) return;
        require(iommu->remove_endpoint(2).has_value());
        return;
      case 2:
        iommu->memory_changed();
        return;
      default: {
        const auto map = device->memory().snapshot();
        const Iova at(event.take<std::uint32_t>());
        map->translation()->faults->missing(at, 1, vm_memory::Access::kRead);
      }
    }
  });
  check();
  return 0;
}
