// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio_pci;

TEST_CASE("config: the guest sees the device's identity", "[config]") {
  Rig rig;
  REQUIRE(rig.plugged);
  CHECK(rig.config<std::uint32_t>(pci::kVendorId) == 0x0010'1b36);
  CHECK(rig.config<std::uint32_t>(pci::kRevision) == 0x0108'0202);
  CHECK(rig.config<std::uint32_t>(pci::kSubsystemVendorId) == 0x1100'1af4);
  CHECK(rig.config<std::uint8_t>(pci::kInterruptPin) == 1);
  CHECK(rig.config<std::uint8_t>(pci::kHeaderType) == 0);
}

TEST_CASE("config: capabilities keep their places, some are hidden", "[config]") {
  Rig rig;
  CHECK(rig.capability_ids() == std::vector<std::uint8_t>{0x01, 0x05, 0x11, 0x10, 0x09});
  CHECK(rig.config<std::uint8_t>(kMsixAt) == 0x11);
  CHECK(rig.config<std::uint32_t>(kVpdAt) == 0);
  // The first extended one is hidden, so the list begins with a header without an id.
  CHECK(rig.config<std::uint32_t>(0x100) == std::uint32_t{kSerialAt} << 20);
  CHECK(rig.config<std::uint32_t>(kSerialAt) == 0x0001'0003);
  CHECK(rig.config<std::uint32_t>(kSerialAt + 4) == 0xcafe'f00d);
  CHECK(rig.config<std::uint32_t>(0x150) == 0);
}

TEST_CASE("config: what is no capability's is not reached", "[config][hostile]") {
  Rig rig;
  const auto before = rig.of_device<std::uint32_t>(vfio::kConfigRegion, kVpdAt);
  for (const std::uint16_t at :
       {std::uint16_t{kVpdAt}, std::uint16_t{0xe0}, std::uint16_t{0x100}, std::uint16_t{0x150},
        std::uint16_t{pci::kVendorId}, std::uint16_t{kSerialAt + 4}}) {
    const auto seen = rig.config<std::uint32_t>(at);
    rig.set_config(at, ~seen);
    CHECK(rig.config<std::uint32_t>(at) == seen);
  }
  CHECK(rig.of_device<std::uint32_t>(vfio::kConfigRegion, kVpdAt) == before);
}

TEST_CASE("config: the command register", "[config]") {
  Rig rig;
  // The device decodes, the guest does not yet.
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) == 3);
  CHECK(rig.config<std::uint16_t>(pci::kCommand) == 0);
  rig.set_config<std::uint16_t>(pci::kCommand, 0xffff);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) == 0x547);
  rig.set_config<std::uint16_t>(pci::kCommand, 0);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) == 3);
}

TEST_CASE("config: registers that are the device's", "[config]") {
  Rig rig;
  rig.set_config<std::uint32_t>(kVendorAt + 4, 0x1122'3344);
  CHECK(rig.of_device<std::uint32_t>(vfio::kConfigRegion, kVendorAt + 4) == 0x1122'3344);
  rig.set_config<std::uint8_t>(kVendorAt + 5, 0x99);
  CHECK(rig.of_device<std::uint32_t>(vfio::kConfigRegion, kVendorAt + 4) == 0x1122'9944);
  CHECK(rig.config<std::uint16_t>(kVendorAt + 5) == 0x2299);
  // An access over the end of the capability writes its part.
  rig.set_config<std::uint64_t>(kVendorAt + 12, ~std::uint64_t{0});
  CHECK(rig.of_device<std::uint64_t>(vfio::kConfigRegion, kVendorAt + 12) == 0xffff'ffff);
  CHECK(rig.config<std::uint64_t>(kVendorAt + 12) == 0xffff'ffff);
}

TEST_CASE("config: PCI Express without a link", "[config]") {
  Rig rig;
  CHECK(rig.config<std::uint16_t>(kExpressAt + 2) == 0x0092);
  CHECK(rig.config<std::uint32_t>(kExpressAt + 4) == 0x1000'8001);  // can be reset
  CHECK(rig.config<std::uint32_t>(kExpressAt + 0xc) == 0);
  rig.set_config<std::uint16_t>(kExpressAt + 8, 0x2810);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, kExpressAt + 8) == 0x2810);
}

TEST_CASE("config: the device stays in D0", "[config]") {
  Rig rig;
  CHECK(rig.config<std::uint16_t>(kPowerAt + 2) == 3);
  CHECK(rig.config<std::uint16_t>(kPowerAt + 4) == 8);
  rig.set_config<std::uint16_t>(kPowerAt + 4, 0xffff);
  CHECK(rig.config<std::uint16_t>(kPowerAt + 4) == 0x000b);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, kPowerAt + 4) == 0);
}

TEST_CASE("config: a reset of the function", "[config][reset]") {
  Rig rig;
  rig.enable();
  rig.set_config<std::uint16_t>(kMsixAt + 2, 0x8000);
  rig.set_config<std::uint16_t>(kPowerAt + 4, 3);
  const int before = rig.kernel.count("VFIO_DEVICE_RESET");
  rig.set_config<std::uint16_t>(kExpressAt + 8, 0xa810);
  CHECK(rig.kernel.count("VFIO_DEVICE_RESET") == before + 1);
  CHECK(rig.config<std::uint16_t>(kExpressAt + 8) == 0x2810);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, kExpressAt + 8) == 0x2810);
  CHECK(rig.config<std::uint16_t>(pci::kCommand) == 0);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, pci::kCommand) == 3);
  CHECK(rig.config<std::uint16_t>(kMsixAt + 2) == 7);
  CHECK(rig.config<std::uint16_t>(kPowerAt + 4) == 8);
  CHECK(rig.mapper.all.empty());
  CHECK(rig.kernel.irq_fds(kPath, 2).empty());
  CHECK(rig.pins.connected);  // as after a power-on
}

TEST_CASE("config: a device that cannot be reset says so", "[config][reset]") {
  Setting setting;
  setting.device.resettable = false;
  Rig rig(std::move(setting));
  CHECK(rig.config<std::uint32_t>(kExpressAt + 4) == 0x8001);
  rig.set_config<std::uint16_t>(kExpressAt + 8, 0x8000);
  CHECK(rig.kernel.count("VFIO_DEVICE_RESET") == 0);
  CHECK(rig.of_device<std::uint16_t>(vfio::kConfigRegion, kExpressAt + 8) == 0);
}

TEST_CASE("config: a reset by advanced features", "[config][reset]") {
  Setting setting;
  setting.config = Registers(256);
  setting.config.list(0x40).capability(0x40, 0x13, 0, 0x0306);
  Rig rig(std::move(setting));
  REQUIRE(rig.plugged);
  CHECK(rig.config<std::uint32_t>(0x40) == 0x0306'0013);
  const int before = rig.kernel.count("VFIO_DEVICE_RESET");
  rig.set_config<std::uint8_t>(0x44, 1);
  CHECK(rig.kernel.count("VFIO_DEVICE_RESET") == before + 1);
  CHECK(rig.config<std::uint8_t>(0x44) == 0);
}

TEST_CASE("config: devices that are refused", "[config][hostile]") {
  Setting bridge;
  bridge.config.put<std::uint8_t>(pci::kHeaderType, 1);
  CHECK(Rig(std::move(bridge)).made.error().is_os(ENOTSUP));
  Setting other;
  other.device.kind = vfio::DeviceKind::kPlatform;
  CHECK(Rig(std::move(other)).made.error().is_os(ENOTSUP));
  Setting shorter;
  shorter.device.regions[vfio::kConfigRegion].bytes = 64;
  shorter.config.bytes.resize(64);
  CHECK(Rig(std::move(shorter)).made.error().is_os(ENOTSUP));
  Setting loop;
  loop.config.list(0x40).capability(0x40, 9, 0x40, 4);
  CHECK_FALSE(Rig(std::move(loop)).made.has_value());
  Setting table;  // not all in its BAR
  table.config.put<std::uint32_t>(kMsixAt + 4, 0x3fc0);
  CHECK_FALSE(Rig(std::move(table)).made.has_value());
  Setting nowhere;  // in a BAR that cannot be
  nowhere.config.put<std::uint32_t>(kMsixAt + 8, 7);
  CHECK_FALSE(Rig(std::move(nowhere)).made.has_value());
}

TEST_CASE("config: after the removal nothing reaches the device", "[config]") {
  Rig rig;
  rig.enable();
  const auto function = *rig.made;
  REQUIRE(rig.segment->remove(1));
  std::array<std::byte, 4> data{};
  function->read_config(kVendorAt + 4, data);
  function->write_config(kVendorAt + 4, data);
  function->write_config(kMsixAt, data);
  CHECK(rig.mapper.all.empty());
  CHECK_FALSE(rig.pins.connected);
  CHECK(rig.msi.routes() == 0);
  CHECK_FALSE(rig.kernel.in_container(5));  // the group was let go
}
