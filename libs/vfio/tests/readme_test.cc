// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <array>
#include <vector>

#include "tests/rig.h"

namespace {

using namespace vmm;

struct Guest {
  std::uint64_t address;
  std::span<std::byte> memory;
  std::shared_ptr<const void> owner;
  std::span<const std::int32_t> interrupts;
};

Result<std::unique_ptr<vfio::Device>> give(vfio::AddressSpace& space, const Guest& guest,
                                           std::vector<vfio::DmaMapping>& mappings) {
  // Guest memory first, where the guest has it: the device may reach nothing else.
  VMM_TRY(auto mapping, space.map({.iova = guest.address,
                                   .memory = guest.memory,
                                   .owner = guest.owner,
                                   .device_writes = true}));
  mappings.push_back(std::move(mapping));

  VMM_TRY(auto device, space.attach("/sys/bus/pci/devices/0000:00:06.0"));
  const vfio::IrqInfo& msix = device->irq(vfio::PciIrq::kMsix);
  if (msix.count != 0) VMM_TRY_DO(device->set_irqs(msix.index, 0, guest.interrupts));
  VMM_TRY_DO(device->reset());
  return device;
}

}  // namespace

TEST_CASE("the README's example gives a device to a guest", "[readme]") {
  vfio::testing::ScriptedKernel kernel;
  auto nic = vfio::testing::nic();
  nic.path = "/sys/bus/pci/devices/0000:00:06.0";
  kernel.add(std::move(nic));
  const auto space = vfio::testing::open(kernel, vfio::Interface::kGroups);
  const vfio::testing::Memory memory(vfio::testing::kPage);
  const std::array<std::int32_t, 2> interrupts{3, 4};
  std::vector<vfio::DmaMapping> mappings;
  const auto device = give(*space,
                           {.address = 0x1000,
                            .memory = memory.at(0).memory,
                            .owner = memory.at(0).owner,
                            .interrupts = interrupts},
                           mappings);
  REQUIRE(device);
  CHECK(kernel.mappings().contains(0x1000));
  CHECK(kernel.irq_fds("/sys/bus/pci/devices/0000:00:06.0", 2) == std::vector<int>{3, 4});
}
