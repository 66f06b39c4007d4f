// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/virtio_iommu/memory_endpoint.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_iommu {
namespace {

using bench::keep;
using bench::opaque;
using vm_memory::GuestMemory;

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kRamBytes = std::uint64_t{512} << 20;

class NoFaults final : public vm_memory::FaultHandler {
 public:
  void missing(Iova, std::uint64_t, vm_memory::Access) override {}
  void denied(Iova, std::uint64_t, vm_memory::Access) override {}
};

/// As a driver leaves them: pages of I/O addresses far up, each to a page elsewhere than its
/// neighbour's, so that none become one.
Mappings pages(std::size_t count) {
  Mappings mappings;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint64_t first = (std::uint64_t{1} << 40) + i * kPage;
    const std::uint64_t page = i * 2'654'435'761u % (kRamBytes / kPage);
    mappings.emplace(first, Mapping{.first = Iova(first),
                                    .last = first + (kPage - 1),
                                    .target = GuestAddress(page * kPage),
                                    .access = vm_memory::Access::kReadWrite,
                                    .mmio = false});
  }
  return mappings;
}

/// I/O addresses of random pages; the generator is xorshift64*.
std::vector<std::uint64_t> random_addresses(std::size_t count) {
  std::vector<std::uint64_t> table(4096);
  std::uint64_t state = 0x9E3779B97F4A7C15;
  for (std::uint64_t& address : table) {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    address = (std::uint64_t{1} << 40) + (state * 0x2545F4914F6CDD1D) % count * kPage;
  }
  return table;
}

std::string row(const char* name, std::size_t mappings) {
  return std::string("virtio-iommu/") + name + "_" + std::to_string(mappings);
}

}  // namespace

VMM_BENCH(bench) {
  const std::array<vm_memory::RegionConfig, 1> ram{
      {{.base = GuestAddress(0), .bytes = kRamBytes, .dirty_tracking = false}}};
  const GuestMemory owner = *GuestMemory::create(ram);
  const auto faults = std::make_shared<NoFaults>();
  for (const std::size_t count : {1u, 64u, 4096u, 65536u}) {
    const Mappings mappings = pages(count);
    MemoryEndpoint endpoint;
    const Space space{.reach = Reach::kMapped,
                      .mappings = mappings,
                      .memory = owner.snapshot(),
                      .faults = faults};
    (void)endpoint.enter(space);
    const auto addresses = random_addresses(count);
    const vm_memory::MemoryView view = endpoint.memory().view();
    std::size_t next = 0;
    bench.run(row("read_obj_u64", count), [&] {
      next = (next + 1) % addresses.size();
      keep(view.read<std::uint64_t>(GuestAddress(opaque(addresses[next]))));
    });
    // What one kick of the driver costs, however many requests it has.
    bench.run(row("new_map", count), [&] { (void)endpoint.enter(space); });
  }
}

}  // namespace vmm::virtio_iommu
