// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "errors.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/testing/scripted_kernel.h"
#include "vmm/vfio/testing/scripted_pci.h"

namespace vmm::vfio::testing {

inline constexpr std::uint64_t kPage = 4096;
inline const std::string kNic = "/sys/devices/pci0000:00/0000:00:06.0";
inline const std::string kDisk = "/sys/devices/pci0000:00/0000:00:07.0";

/// Whole pages, and a count of who keeps them.
class Memory {
 public:
  explicit Memory(std::size_t bytes)
      : mapping_(*sys_util::Mapping::create(
            bytes, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS})) {}
  [[nodiscard]] DmaMemory at(std::uint64_t iova, bool device_writes = true) const {
    return {
        .iova = iova, .memory = mapping_.bytes(), .owner = owner_, .device_writes = device_writes};
  }
  [[nodiscard]] long keepers() const { return owner_.use_count() - 1; }

 private:
  sys_util::Mapping mapping_;
  std::shared_ptr<int> owner_ = std::make_shared<int>();
};

/// A NIC with BARs, INTx, MSI, MSI-X, error and request interrupts.
inline ScriptedDevice nic() {
  ScriptedDevice device = scripted_pci(kNic, 5, "vfio0", 256);
  device.regions[1].bytes = 32;
  device.regions[3].bytes = 4 * kPage;
  device.regions[3].mappable = true;
  device.regions[3].areas = {{.offset = 2 * kPage, .bytes = 2 * kPage},
                             {.offset = 0, .bytes = kPage}};
  device.irqs[2].count = 2048;
  device.irqs[4] = {
      .count = 1, .eventfd = false, .maskable = false, .automasked = false, .fixed_size = false};
  return device;
}

inline ScriptedDevice disk(std::uint32_t group = 6) {
  ScriptedDevice device = nic();
  device.path = kDisk;
  device.group = group;
  device.entry = "vfio1";
  return device;
}

inline std::shared_ptr<AddressSpace> open(ScriptedKernel& kernel, Interface interface,
                                          bool dirty_tracking = false) {
  kernel.set_iommufd(interface == Interface::kIommufd);
  auto space = AddressSpace::open(kernel, {.interface = interface,
                                           .on_attach = nullptr,
                                           .on_detach = nullptr,
                                           .dirty_tracking = dirty_tracking});
  REQUIRE(space);
  return std::move(*space);
}

}  // namespace vmm::vfio::testing
