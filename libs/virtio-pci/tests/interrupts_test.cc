// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// How the device reaches its driver: vectors of MSI-X, the pin and the ISR status.

#include <catch2/catch.hpp>

#include "pci_rig.h"

namespace vmm::virtio_pci {
namespace {

using pci::Msix;
using virtio_device::kFeatureVersion1;

struct Running {
  explicit Running(bool msix = true) { good = rig.start(kFeatureVersion1, msix); }

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  PciRig rig{device};
  bool good = false;
};

TEST_CASE("each queue and the configuration has its own vector", "[msix]") {
  Running running;
  REQUIRE(running.good);
  PciRig& rig = running.rig;
  REQUIRE(rig.echo(0));
  CHECK(rig.sent(101) == 1);
  CHECK(rig.sent(102) == 0);
  REQUIRE(rig.echo(1));
  CHECK(rig.sent(102) == 1);
  running.device->fill_config(std::byte{1});
  CHECK(rig.sent(100) == 1);
  CHECK(rig.msi.sent().size() == 3);
  CHECK_FALSE(rig.line.level());
  CHECK(rig.isr() == kIsrConfig);  // of the configuration only, and only once
  CHECK(rig.isr() == 0);
}

TEST_CASE("queues may share a vector, or have none", "[msix]") {
  Running running;
  PciRig& rig = running.rig;
  for (const std::uint16_t queue : {std::uint16_t{0}, std::uint16_t{1}}) {
    rig.set<std::uint16_t>(Common::kQueueSelect, queue);
    rig.set<std::uint16_t>(Common::kQueueMsixVector, 2);
  }
  REQUIRE(rig.echo(0));
  REQUIRE(rig.echo(1));
  CHECK(rig.sent(102) == 2);
  rig.set<std::uint16_t>(Common::kQueueMsixVector, kNoVector);
  rig.set<std::uint16_t>(Common::kConfigMsixVector, kNoVector);
  REQUIRE(rig.echo(1));
  running.device->fill_config(std::byte{1});
  CHECK(rig.msi.sent().size() == 2);
  CHECK_FALSE(rig.line.level());
}

TEST_CASE("a vector that does not exist reads back as none", "[msix][hostile]") {
  Running running;
  PciRig& rig = running.rig;
  for (const int vector : {0, 1, 2, 3, 4, 0x7fff, 0xfffe, 0xffff}) {
    rig.set<std::uint16_t>(Common::kConfigMsixVector, static_cast<std::uint16_t>(vector));
    rig.set<std::uint16_t>(Common::kQueueMsixVector, static_cast<std::uint16_t>(vector));
    const int expected = vector < 3 ? vector : kNoVector;
    CHECK(rig.get<std::uint16_t>(Common::kConfigMsixVector) == expected);
    CHECK(rig.get<std::uint16_t>(Common::kQueueMsixVector) == expected);
  }
  REQUIRE(rig.echo(1));
}

TEST_CASE("a masked vector is pending until it is unmasked", "[msix]") {
  for (const bool whole_function : {false, true}) {
    Running running;
    PciRig& rig = running.rig;
    if (whole_function) {
      rig.set_msix(Msix::kEnable | Msix::kFunctionMask);
    } else {
      rig.set_vector(1, 101, true);
    }
    REQUIRE(rig.echo(0));
    REQUIRE(rig.echo(0));
    CHECK(rig.msi.sent().empty());
    CHECK(rig.pending() == 2);
    rig.write<std::uint32_t>(kPendingPart.offset, 0);  // not the driver's
    CHECK(rig.pending() == 2);
    if (whole_function) {
      rig.set_msix(Msix::kEnable);
    } else {
      rig.set_vector(1, 101, false);
    }
    CHECK(rig.sent(101) == 1);
    CHECK(rig.pending() == 0);
  }
}

TEST_CASE("a reset forgets vectors and what is pending", "[msix]") {
  Running running;
  PciRig& rig = running.rig;
  rig.set_vector(1, 101, true);
  REQUIRE(rig.echo(0));
  rig.set_status(0);
  CHECK(rig.pending() == 0);
  CHECK(rig.get<std::uint16_t>(Common::kConfigMsixVector) == kNoVector);
  CHECK(rig.get<std::uint16_t>(Common::kQueueMsixVector) == kNoVector);
  rig.set_vector(1, 101, false);
  CHECK(rig.msi.sent().empty());
}

TEST_CASE("without MSI-X the pin is asserted until the status is read", "[intx]") {
  Running running(false);
  REQUIRE(running.good);
  PciRig& rig = running.rig;
  CHECK(rig.isr() == 0);
  REQUIRE(rig.echo(0));
  CHECK(rig.line.level());
  CHECK((rig.config<std::uint16_t>(pci::kStatus) & pci::kStatusInterrupt) != 0);
  CHECK(rig.isr() == kIsrQueue);
  CHECK_FALSE(rig.line.level());
  CHECK(rig.isr() == 0);
  running.device->fill_config(std::byte{1});
  CHECK(rig.line.level());
  REQUIRE(rig.echo(1));
  CHECK(rig.isr() == (kIsrQueue | kIsrConfig));
  CHECK(rig.msi.sent().empty());
  REQUIRE(rig.echo(1));
  rig.set_status(0);
  CHECK_FALSE(rig.line.level());
  CHECK(rig.isr() == 0);
}

TEST_CASE("the pin follows when MSI-X is switched on and off", "[intx][msix]") {
  Running running(false);
  PciRig& rig = running.rig;
  REQUIRE(rig.echo(0));
  REQUIRE(rig.line.level());
  rig.set_msix(Msix::kEnable);
  CHECK_FALSE(rig.line.level());
  rig.set_msix(0);
  CHECK(rig.line.level());
  rig.set_config<std::uint16_t>(
      pci::kCommand, pci::kCommandMemory | pci::kCommandBusMaster | pci::kCommandIntxDisable);
  CHECK_FALSE(rig.line.level());
  CHECK((rig.config<std::uint16_t>(pci::kStatus) & pci::kStatusInterrupt) != 0);
}

TEST_CASE("a descriptor for the kernel to signal is that of the queue's vector", "[msix]") {
  Running running;
  PciRig& rig = running.rig;
  const auto interrupt = running.device->interrupt();
  REQUIRE(interrupt != nullptr);
  CHECK(interrupt->used_buffers_fd(0) == 1001);
  CHECK(interrupt->used_buffers_fd(1) == 1002);
  rig.set<std::uint16_t>(Common::kQueueSelect, 0);
  rig.set<std::uint16_t>(Common::kQueueMsixVector, kNoVector);
  CHECK(interrupt->used_buffers_fd(0) == -1);
  rig.set_msix(0);
  CHECK(interrupt->used_buffers_fd(1) == -1);
}

TEST_CASE("whoever has a vector's descriptor hears that the queue has another one", "[msix]") {
  Running running;
  PciRig& rig = running.rig;
  const auto set_vector = [&](std::uint16_t vector) {
    rig.set<std::uint16_t>(Common::kQueueSelect, 0);
    rig.set<std::uint16_t>(Common::kQueueMsixVector, vector);
  };
  set_vector(2);
  CHECK(running.device->moves() == 0);  // nobody has one
  const auto interrupt = running.device->interrupt();
  CHECK(interrupt->used_buffers_fd(0) == 1002);
  set_vector(1);
  CHECK(running.device->moves() == 1);
  CHECK(interrupt->used_buffers_fd(0) == 1001);
  rig.set_msix(Msix::kEnable | Msix::kFunctionMask);  // which the vector itself knows of
  CHECK(running.device->moves() == 1);
  rig.set_msix(0);
  CHECK(running.device->moves() == 2);
  CHECK(interrupt->used_buffers_fd(0) == -1);
  rig.set_msix(Msix::kEnable);
  CHECK(running.device->moves() == 3);
  rig.set_status(0);
  set_vector(2);
  CHECK(running.device->moves() == 3);
}

}  // namespace
}  // namespace vmm::virtio_pci
