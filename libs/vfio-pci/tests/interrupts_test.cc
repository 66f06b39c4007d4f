// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio_pci;

namespace {

constexpr std::uint32_t kIntx = 0;
constexpr std::uint32_t kMsi = 1;
constexpr std::uint32_t kMsix = 2;
constexpr std::uint32_t kError = 3;
constexpr std::uint32_t kRequest = 4;

}  // namespace

TEST_CASE("interrupts: the pin at first", "[irq]") {
  Rig rig;
  REQUIRE(rig.pins.connected);
  CHECK(rig.pins.connected->slot == 1);
  CHECK(rig.pins.connected->pin == 0);
  CHECK(rig.kernel.irq_fds(kPath, kIntx) == std::vector{rig.pins.connected->trigger});
  // Who asserts it by program does so with the pin's own rules.
  rig.pins.connected->sink->set_pin(true);
  CHECK(rig.line.level());
  CHECK((rig.config<std::uint16_t>(pci::kStatus) & pci::kStatusInterrupt) != 0);
  rig.set_config<std::uint16_t>(pci::kCommand, pci::kCommandIntxDisable);
  CHECK_FALSE(rig.line.level());
}

TEST_CASE("interrupts: MSI-X takes the pin's place", "[irq]") {
  Rig rig;
  rig.enable();
  rig.write<std::uint32_t>(0, kTableAt + 16, 0xfee0'0000);
  rig.write<std::uint32_t>(0, kTableAt + 24, 0x33);
  rig.write<std::uint32_t>(0, kTableAt + 28, 0);
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0xc000);
  CHECK_FALSE(rig.pins.connected);
  CHECK(rig.kernel.irq_fds(kPath, kIntx).empty());
  const auto fds = rig.kernel.irq_fds(kPath, kMsix);
  REQUIRE(fds.size() == 8);
  CHECK(fds[1] == 1001);  // as the vectors call them
  CHECK(rig.msi.routes() == 0);
  const int calls = rig.kernel.count("VFIO_DEVICE_SET_IRQS");
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);  // masks are not the device's business
  CHECK(rig.msi.routes() == 1);
  CHECK(rig.kernel.count("VFIO_DEVICE_SET_IRQS") == calls);
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0);
  CHECK(rig.kernel.irq_fds(kPath, kMsix).empty());
  CHECK(rig.pins.connected);
}

TEST_CASE("interrupts: MSI, and MSI-X over it", "[irq]") {
  Rig rig;
  rig.set_config<std::uint32_t>(kMsiAt + 4, 0xfee0'0000);
  rig.set_config<std::uint16_t>(kMsiAt + 12, 0x40);
  rig.set_config<std::uint16_t>(kMsiAt + 2, 0x0011);  // two
  CHECK_FALSE(rig.pins.connected);
  CHECK(rig.kernel.irq_fds(kPath, kMsi).size() == 2);
  CHECK(rig.msi.routes() == 2);
  rig.set_config<std::uint32_t>(kMsiAt + 16, 1);  // a mask
  CHECK(rig.msi.routes() == 1);
  CHECK(rig.kernel.irq_fds(kPath, kMsi).size() == 2);
  rig.set_config<std::uint16_t>(kMsiAt + 2, 0x0021);
  CHECK(rig.kernel.irq_fds(kPath, kMsi).size() == 4);
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  CHECK(rig.kernel.irq_fds(kPath, kMsi).empty());
  CHECK(rig.kernel.irq_fds(kPath, kMsix).size() == 8);
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0);
  CHECK(rig.kernel.irq_fds(kPath, kMsi).size() == 4);
  rig.set_config<std::uint16_t>(kMsiAt + 2, 0);
  CHECK(rig.pins.connected);
}

TEST_CASE("interrupts: what the kernel refuses leaves the device silent", "[irq]") {
  Rig rig;
  rig.kernel.fail_request("VFIO_DEVICE_SET_IRQS", ENOSPC, 1);  // after the pin is off
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  CHECK(rig.kernel.irq_fds(kPath, kMsix).empty());
  CHECK_FALSE(rig.pins.connected);
}

TEST_CASE("interrupts: fewer than the device says", "[irq]") {
  struct Row {
    std::uint32_t msi;
    std::uint32_t msix;
    std::uint16_t msi_control;
    std::vector<std::uint8_t> ids;
  };
  for (const Row& row :
       {Row{3, 5, 0x0182, {0x01, 0x05, 0x11, 0x10, 0x09}}, Row{0, 5, 0, {0x01, 0x11, 0x10, 0x09}},
        Row{1, 0, 0x0180, {0x01, 0x05, 0x10, 0x09}}}) {
    Setting setting;
    setting.device.irqs[kMsi].count = row.msi;
    setting.device.irqs[kMsix].count = row.msix;
    Rig rig(std::move(setting));
    CHECK(rig.capability_ids() == row.ids);
    CHECK(rig.config<std::uint16_t>(kMsiAt + 2) == row.msi_control);
    if (row.msix != 0) CHECK(rig.config<std::uint16_t>(kMsixAt + 2) == row.msix - 1);
    rig.enable();
    rig.write<std::uint32_t>(0, kTableAt + 7 * 16, 0xfee0'0000);  // nowhere, also not in the device
    CHECK(rig.of_device<std::uint32_t>(0, kTableAt + 7 * 16) == 0);
  }
  Setting none;
  none.device.irqs[kIntx].count = 0;
  Rig rig(std::move(none));
  CHECK(rig.config<std::uint8_t>(pci::kInterruptPin) == 0);
  CHECK_FALSE(rig.pins.connected);
}

TEST_CASE("interrupts: the host's wishes and the device's errors are heard", "[irq]") {
  Setting setting;
  setting.wanted_fd = 2001;
  setting.error_fd = 2002;
  Rig rig(setting);
  CHECK(rig.kernel.irq_fds(kPath, kRequest) == std::vector{2001});
  CHECK(rig.kernel.irq_fds(kPath, kError) == std::vector{2002});
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  rig.set_config<std::uint16_t>(kExpressAt + 8, 0x8000);  // a reset of the function
  CHECK(rig.kernel.irq_fds(kPath, kRequest) == std::vector{2001});
  CHECK(rig.kernel.irq_fds(kPath, kError) == std::vector{2002});
}

TEST_CASE("interrupts: nobody needs to hear them, and not all devices have them", "[irq]") {
  const Rig silent;
  CHECK(silent.kernel.irq_fds(kPath, kRequest).empty());
  CHECK(silent.kernel.irq_fds(kPath, kError).empty());
  Setting without;
  without.device.irqs.resize(3);
  without.wanted_fd = 2001;
  CHECK(Rig(without).plugged);
  Setting refused;
  refused.device.irqs[kRequest].eventfd = false;
  refused.wanted_fd = 2001;
  const Rig rig(refused);
  CHECK(rig.plugged);
  CHECK(rig.kernel.irq_fds(kPath, kRequest).empty());
}

TEST_CASE("interrupts: a device that is stopped is silent until the guest resets it", "[irq]") {
  Rig rig;
  rig.enable();
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  REQUIRE(rig.kernel.irq_fds(kPath, kMsix).size() == 8);
  (*rig.made)->stop();
  CHECK(rig.kernel.irq_fds(kPath, kMsix).empty());
  constexpr std::uint16_t kMaster = pci::kCommandBusMaster;
  CHECK((rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) & kMaster) == 0);
  // What the guest says meanwhile is for later.
  rig.enable();
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0);
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  CHECK(rig.kernel.irq_fds(kPath, kMsix).empty());
  CHECK_FALSE(rig.pins.connected);
  CHECK((rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) & kMaster) == 0);
  CHECK((rig.config<std::uint16_t>(pci::kCommand) & kMaster) != 0);
  rig.set_config<std::uint16_t>(kExpressAt + 8, 0x8000);
  rig.enable();
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  CHECK(rig.kernel.irq_fds(kPath, kMsix).size() == 8);
  CHECK((rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) & kMaster) != 0);
  (void)rig.segment->remove(1);
  (*rig.made)->stop();  // it has gone
}
