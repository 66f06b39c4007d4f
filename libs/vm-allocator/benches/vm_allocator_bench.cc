// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <cstdint>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/vm_allocator/address_allocator.h"
#include "vmm/vm_allocator/id_allocator.h"

using namespace vmm::vm_allocator;
using vmm::bench::keep;

namespace {

constexpr AddressRange kWindow{0x1'0000'0000, 0x1'ffff'ffff};
constexpr Block kPage{.size = 0x1000, .alignment = 0x1000};

template <class Allocate>
void allocate_all_then_free(vmm::bench::Bench& bench, const char* policy, std::size_t slots,
                            Allocate allocate) {
  AddressAllocator allocator = *AddressAllocator::create(kWindow);
  std::vector<AddressRange> ranges(slots);
  bench.run(std::string("vm-allocator/address_alloc_free_") + policy + "_" + std::to_string(slots),
            slots, [&] {
              for (AddressRange& range : ranges) range = *allocate(allocator);
              for (const AddressRange& range : ranges) keep(allocator.free(range).has_value());
            });
}

}  // namespace

VMM_BENCH(bench) {
  for (const std::size_t slots : {16ul, 256ul, 1024ul}) {
    allocate_all_then_free(bench, "first", slots,
                           [](AddressAllocator& from) { return from.allocate_first(kPage); });
    allocate_all_then_free(bench, "last", slots,
                           [](AddressAllocator& from) { return from.allocate_last(kPage); });
  }
}

VMM_BENCH(bench) {
  AddressAllocator allocator = *AddressAllocator::create(kWindow);
  for (int i = 0; i < 256; ++i) keep(allocator.allocate_first(kPage).has_value());
  bench.run("vm-allocator/address_alloc_free_one_at_256", [&] {
    const AddressRange range = *allocator.allocate_first(kPage);
    keep(allocator.free(range).has_value());
  });
}

VMM_BENCH(bench) {
  IdAllocator ids = *IdAllocator<>::create({0, 31});
  bench.run("vm-allocator/id_alloc_free_32", 32, [&] {
    for (int i = 0; i < 32; ++i) keep(*ids.allocate());
    for (std::uint32_t id = 0; id < 32; ++id) keep(ids.free(id).has_value());
  });
}
