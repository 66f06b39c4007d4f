// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <catch2/catch.hpp>

#include "iommu_rig.h"
#include "vmm/vfio/testing/scripted_kernel.h"
#include "vmm/virtio_iommu/dma_endpoint.h"

namespace vmm::virtio_iommu {
namespace {

Result<std::uint64_t> example(const vm_memory::GuestMemory& guest_memory,
                              const std::shared_ptr<vfio::AddressSpace>& space,
                              std::uint64_t ram_bytes) {
  VMM_TRY(const auto iommu, Iommu::create({.memory = guest_memory}));

  // A virtio device: its transport works on the endpoint's memory.
  const auto disk = std::make_shared<MemoryEndpoint>();
  const vm_memory::GuestMemory& disk_memory = disk->memory();  // for Wiring::memory, behind_iommu
  VMM_TRY_DO(iommu->add_endpoint(pci_endpoint(0, 0, 3 << 3), disk));

  // A device of the host, alone in its address space.
  VMM_TRY(auto reserved, DmaEndpoint::reserved_by(*space, ~std::uint64_t{0}));
  const DmaEndpoint::Limits limits{.bytes = 4 * ram_bytes};
  VMM_TRY_DO(iommu->add_endpoint(pci_endpoint(0, 0, 4 << 3),
                                 std::make_shared<DmaEndpoint>(space, reserved, limits)));
  return disk_memory.snapshot()->view().regions().size();
}

TEST_CASE("the README's example works", "[iommu]") {
  vfio::testing::ScriptedKernel kernel;
  kernel.set_iommufd(true);
  const auto space = *vfio::AddressSpace::open(kernel, {.interface = vfio::Interface::kIommufd});
  const vm_memory::GuestMemory memory = make_ram();
  const auto regions = example(memory, space, kRamBytes);
  REQUIRE(regions);
  CHECK(*regions == 1);
}

}  // namespace
}  // namespace vmm::virtio_iommu
