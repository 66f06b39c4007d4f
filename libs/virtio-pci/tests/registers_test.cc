// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Discovery, the common configuration and the status machine as a driver sees them.

#include <catch2/catch.hpp>

#include "open_fds.h"
#include "pci_rig.h"

namespace vmm::virtio_pci {
namespace {

using virtio_device::kFeatureVersion1;
using virtio_queue::kFeatureEventIdx;
using virtio_queue::kFeaturePacked;
using virtio_queue::kFeatureRingReset;

std::shared_ptr<EchoDevice> echo(std::size_t queues = 2) {
  return std::make_shared<EchoDevice>(queues);
}

TEST_CASE("a driver finds the device and each part of it", "[discovery]") {
  PciRig rig(echo());
  CHECK(rig.config<std::uint32_t>(pci::kVendorId) == 0x1044'1af4);
  CHECK(rig.config<std::uint8_t>(pci::kRevision) == 1);
  CHECK(rig.config<std::uint32_t>(pci::kSubsystemVendorId) == 0x1044'1af4);
  CHECK(rig.config<std::uint8_t>(pci::kInterruptPin) == 1);
  CHECK(rig.bar() == PciRig::kHigh.base.raw());
  struct Case {
    CapabilityKind kind;
    std::uint32_t offset;
    std::uint32_t bytes;
    std::uint8_t length;
  };
  for (const Case& c :
       {Case{CapabilityKind::kCommon, 0, 0x3c, 16}, Case{CapabilityKind::kIsr, 0x2000, 1, 16},
        Case{CapabilityKind::kDevice, 0x4000, 0x1000, 16},
        Case{CapabilityKind::kNotify, 0x6000, 0x1000, 20},
        Case{CapabilityKind::kPciConfig, 0, 0, 20}}) {
    const auto found = rig.capability(c.kind);
    REQUIRE(found);
    CHECK(found->bar == 0);
    CHECK(found->offset == c.offset);
    CHECK(found->bytes == c.bytes);
    CHECK(found->length == c.length);
    CHECK(found->at % 4 == 0);
  }
  CHECK(rig.config<std::uint32_t>(rig.capability(CapabilityKind::kNotify)->at + 16u) == 4);
  CHECK_FALSE(rig.capability(CapabilityKind::kSharedMemory));
  const std::uint8_t msix = rig.find_capability(pci::kCapabilityMsix);
  REQUIRE(msix != 0);
  CHECK(rig.config<std::uint16_t>(msix + 2u) == 2);  // three vectors
  CHECK(rig.config<std::uint32_t>(msix + 4u) == 0x8000);
  CHECK(rig.config<std::uint32_t>(msix + 8u) == 0x4'8000);
}

TEST_CASE("without vectors there is no MSI-X, and BAR 0 may be a narrow one", "[discovery]") {
  PciRig rig(echo(), {.msix = false, .below_4g = true});
  CHECK(rig.find_capability(pci::kCapabilityMsix) == 0);
  CHECK(rig.bar() == PciRig::kLow.base.raw());
  CHECK((rig.config<std::uint32_t>(pci::kBar0) & 0xf) == 0);
  CHECK(rig.start(kFeatureVersion1, false));
  CHECK(rig.echo(0));
}

TEST_CASE("a driver runs the device over split and packed rings", "[device]") {
  for (const bool msix : {true, false}) {
    for (const std::uint64_t ring : {std::uint64_t{0}, kFeaturePacked, kFeatureEventIdx}) {
      const auto device = echo();
      PciRig rig(device);
      REQUIRE(rig.start(kFeatureVersion1 | ring, msix));
      for (int i = 0; i < 20; ++i) {
        REQUIRE(rig.echo(0));
        REQUIRE(rig.echo(1));
      }
      CHECK(device->served() == 40);
      CHECK(device->negotiated() == (kFeatureVersion1 | ring));
    }
  }
}

TEST_CASE("a device whose bus mastering ends stops, and is started again", "[device]") {
  const std::uint64_t packed = GENERATE(std::uint64_t{0}, virtio_queue::kFeaturePacked);
  PciRig rig(std::make_shared<EchoDevice>());
  for (int round = 0; round < 3; ++round) {
    REQUIRE(rig.start(virtio_device::kFeatureVersion1 | packed));
    CHECK(rig.echo(0));
    rig.enable();  // the same again
    CHECK(rig.echo(0));
    rig.set_config<std::uint16_t>(pci::kCommand, pci::kCommandMemory);
    CHECK((rig.status() & virtio_device::kDriverOk) == 0);
    CHECK_FALSE(rig.echo(0));
    rig.enable();
    CHECK_FALSE(rig.echo(0));
    rig.set_config<std::uint16_t>(pci::kCommand, 0);
  }
}

TEST_CASE("a device works for a driver that never asks for bus mastering", "[device]") {
  PciRig rig(std::make_shared<EchoDevice>(), {.bus_master = false});
  REQUIRE(rig.start());
  rig.enable();
  CHECK(rig.echo(0));
}

TEST_CASE("registers after a reset", "[registers]") {
  PciRig rig(echo());
  rig.start();
  rig.set_status(0);
  CHECK(rig.get<std::uint32_t>(Common::kDeviceFeatureSelect) == 0);
  CHECK(rig.get<std::uint32_t>(Common::kDriverFeatureSelect) == 0);
  CHECK(rig.get<std::uint32_t>(Common::kDriverFeature) == 0);
  CHECK(rig.get<std::uint16_t>(Common::kConfigMsixVector) == kNoVector);
  CHECK(rig.get<std::uint16_t>(Common::kNumQueues) == 2);
  CHECK(rig.get<std::uint8_t>(Common::kDeviceStatus) == 0);
  CHECK(rig.get<std::uint16_t>(Common::kQueueSelect) == 0);
  for (const std::uint16_t queue : {std::uint16_t{0}, std::uint16_t{1}}) {
    rig.set<std::uint16_t>(Common::kQueueSelect, queue);
    CHECK(rig.get<std::uint16_t>(Common::kQueueSize) == EchoDevice::kQueueSize);
    CHECK(rig.get<std::uint16_t>(Common::kQueueMsixVector) == kNoVector);
    CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueNotifyOff) == queue);
    CHECK(rig.get<std::uint16_t>(Common::kQueueReset) == 0);
    CHECK(rig.get<std::uint32_t>(Common::kQueueDescLow) == 0);
    CHECK(rig.get<std::uint32_t>(Common::kQueueDeviceHigh) == 0);
  }
}

TEST_CASE("registers answer accesses of their own width only", "[registers][hostile]") {
  PciRig rig(echo());
  rig.negotiate(kFeatureVersion1);
  rig.enable();
  rig.negotiate(kFeatureVersion1);
  const auto natural = [](std::uint64_t at) -> std::size_t {
    if (at < 0x10 || at >= 0x20) return at >= 0x38 ? 2 : 4;
    return at == 0x14 || at == 0x15 ? 1 : 2;
  };
  rig.set_address(Common::kQueueDescLow, GuestAddress(0x1122'3344'5566'7780));
  CHECK(rig.read<std::uint64_t>(0x20) == 0x1122'3344'5566'7780);
  rig.write<std::uint64_t>(0x28, 0x0102'0304'0506'0708);
  CHECK(rig.get<std::uint32_t>(Common::kQueueDriverHigh) == 0x0102'0304);
  CHECK(rig.get<std::uint32_t>(Common::kQueueDriverLow) == 0x0506'0708);
  for (std::uint64_t at = 0; at < 0x40; ++at) {
    for (const std::size_t width : {1u, 2u, 4u, 8u}) {
      const bool aligned = at % natural(at) == 0;
      if (aligned && at < 0x3c && width == natural(at)) continue;
      if (width == 8 && (at == 0x20 || at == 0x28 || at == 0x30)) continue;
      std::array<std::byte, 8> data{};
      data.fill(std::byte{0x55});
      REQUIRE(rig.caller.read(GuestAddress(rig.bar() + at), std::span(data).first(width)));
      CAPTURE(at, width);
      for (std::size_t i = 0; i < width; ++i) CHECK(data[i] == std::byte{0});
      data.fill(std::byte{0});
      REQUIRE(rig.caller.write(GuestAddress(rig.bar() + at), std::span(data).first(width)));
    }
  }
  CHECK(rig.status() == 0xb);  // no write of zeros got through
  CHECK(rig.read<std::uint64_t>(0x20) == 0x1122'3344'5566'7780);
}

// Writes ones and zeros to all registers that set up queues.
void disturb(PciRig& rig, std::uint16_t queue) {
  rig.set<std::uint16_t>(Common::kQueueSelect, queue);
  for (const std::uint32_t value : {0u, 1u, 4u, 0x7fu, 0xffff'fff0u}) {
    rig.set<std::uint16_t>(Common::kQueueSize, static_cast<std::uint16_t>(value));
    for (std::uint64_t at = 0x20; at < 0x38; at += 4) rig.write<std::uint32_t>(at, value);
    rig.write<std::uint64_t>(0x20, value);
  }
}

std::vector<std::uint32_t> set_up_of(PciRig& rig, std::uint16_t queue) {
  rig.set<std::uint16_t>(Common::kQueueSelect, queue);
  std::vector<std::uint32_t> found{rig.get<std::uint16_t>(Common::kQueueSize),
                                   rig.get<std::uint16_t>(Common::kQueueEnable)};
  for (std::uint64_t at = 0x20; at < 0x38; at += 4) found.push_back(rig.read<std::uint32_t>(at));
  return found;
}

TEST_CASE("queues change only between FEATURES_OK and DRIVER_OK", "[registers][hostile]") {
  struct Case {
    std::vector<std::uint8_t> steps;
    bool open;
  };
  for (const Case& c :
       {Case{{}, false}, Case{{1}, false}, Case{{1, 3}, false}, Case{{1, 3, 0xb}, true},
        Case{{1, 3, 0xb, 0xf}, false}, Case{{1, 3, 0xb, 0x8b}, false},
        Case{{1, 3, 0xb, 0xf, 0x8f}, false}, Case{{0x80}, false}}) {
    PciRig rig(echo());
    rig.enable();
    for (const std::uint8_t step : c.steps) {
      if (step == 0xb) {
        rig.set<std::uint32_t>(Common::kDriverFeatureSelect, 1);
        rig.set<std::uint32_t>(Common::kDriverFeature, 1);
      }
      rig.set_status(step);
    }
    const std::uint8_t status = rig.status();
    CHECK(status == (c.steps.empty() ? 0 : c.steps.back()));
    const auto before = set_up_of(rig, 0);
    disturb(rig, 0);
    CAPTURE(unsigned{status});
    CHECK((set_up_of(rig, 0) != before) == c.open);
    if (!c.open) {
      rig.set<std::uint16_t>(Common::kQueueEnable, 1);
      CHECK(set_up_of(rig, 0) == before);
    }
    CHECK(rig.status() == status);
  }
}

TEST_CASE("a running device keeps its queues whatever is written", "[registers][hostile]") {
  PciRig rig(echo());
  REQUIRE(rig.start());
  const auto before = set_up_of(rig, 0);
  disturb(rig, 0);
  for (const int value : {0, 1, 2, 0xffff}) {
    rig.set<std::uint16_t>(Common::kQueueEnable, static_cast<std::uint16_t>(value));
    rig.set<std::uint16_t>(Common::kQueueReset, static_cast<std::uint16_t>(value));
  }
  CHECK(set_up_of(rig, 0) == before);
  rig.set<std::uint32_t>(Common::kDriverFeatureSelect, 0);
  rig.set<std::uint32_t>(Common::kDriverFeature, ~0u);
  CHECK(rig.get<std::uint32_t>(Common::kDriverFeature) == 0);
  for (const int status : {0x1, 0x3, 0xb, 0x7, 0x1f, 0x2f}) {
    rig.set_status(static_cast<std::uint8_t>(status));
  }
  CHECK(rig.status() == PciRig::kOk);
  CHECK(rig.echo(0));
}

TEST_CASE("queues that do not exist read as zeros and take nothing", "[registers][hostile]") {
  const auto device = echo();
  PciRig rig(device);
  rig.enable();
  rig.negotiate(kFeatureVersion1 | kFeatureRingReset);
  for (const int number : {2, 3, 0x7fff, 0xffff}) {
    rig.set<std::uint16_t>(Common::kQueueSelect, static_cast<std::uint16_t>(number));
    disturb(rig, static_cast<std::uint16_t>(number));
    rig.set<std::uint16_t>(Common::kQueueMsixVector, 0);
    rig.set<std::uint16_t>(Common::kQueueEnable, 1);
    rig.set<std::uint16_t>(Common::kQueueReset, 1);
    CHECK(rig.get<std::uint16_t>(Common::kQueueSelect) == number);
    CHECK(rig.get<std::uint16_t>(Common::kQueueMsixVector) == kNoVector);
    CHECK(rig.get<std::uint16_t>(Common::kQueueSize) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueNotifyOff) == 0);
    CHECK(rig.read<std::uint64_t>(0x20) == 0);
  }
  for (const int number : {2, 3, 1023}) rig.kick(static_cast<std::uint16_t>(number));
  CHECK(rig.start());
}

TEST_CASE("feature words beyond the second are 0", "[registers][hostile]") {
  PciRig rig(echo());
  rig.enable();
  rig.set_status(1);
  rig.set_status(3);
  for (const std::uint32_t word : {2u, 3u, 0x8000'0000u, ~0u}) {
    rig.set<std::uint32_t>(Common::kDeviceFeatureSelect, word);
    rig.set<std::uint32_t>(Common::kDriverFeatureSelect, word);
    rig.set<std::uint32_t>(Common::kDriverFeature, ~0u);
    CHECK(rig.get<std::uint32_t>(Common::kDeviceFeature) == 0);
    CHECK(rig.get<std::uint32_t>(Common::kDriverFeature) == 0);
  }
  rig.set<std::uint32_t>(Common::kDeviceFeatureSelect, 1);
  CHECK((rig.get<std::uint32_t>(Common::kDeviceFeature) & 1) == 1);
}

TEST_CASE("a queue is reset and enabled again while the other one runs", "[queue]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start(kFeatureVersion1 | kFeatureRingReset));
  REQUIRE(rig.echo(1));
  for (int i = 0; i < 20; ++i) {
    rig.set<std::uint16_t>(Common::kQueueSelect, 0);
    rig.set<std::uint16_t>(Common::kQueueReset, 1);
    CHECK(rig.get<std::uint16_t>(Common::kQueueReset) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueSize) == EchoDevice::kQueueSize);
    CHECK(rig.read<std::uint64_t>(0x20) == 0);
    rig.kick(0);
    REQUIRE(rig.echo(1));
    rig.drivers[0] = *virtio_queue::driver::Driver::create(
        {.rings = PciRig::rings(0), .size = PciRig::kQueueSize}, rig.memory.view());
    rig.set_up_queue(0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 1);
    CHECK(rig.get<std::uint16_t>(Common::kQueueReset) == 0);
    CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 1);
    REQUIRE(rig.echo(0));
  }
  CHECK(device->resets() == 0);
  CHECK(rig.sent(101) >= 20);  // the vector of the queue stays
}

TEST_CASE("a queue is reset before the device runs, too", "[queue]") {
  PciRig rig(echo());
  rig.enable();
  rig.negotiate(kFeatureVersion1 | kFeatureRingReset);
  rig.set_up_queue(0);
  REQUIRE(rig.get<std::uint16_t>(Common::kQueueEnable) == 1);
  rig.set<std::uint16_t>(Common::kQueueReset, 1);
  CHECK(rig.get<std::uint16_t>(Common::kQueueReset) == 0);
  CHECK(rig.get<std::uint16_t>(Common::kQueueEnable) == 0);
  CHECK(rig.read<std::uint64_t>(0x20) == 0);
}

TEST_CASE("notifications may carry data, and each queue has an address of its own", "[notify]") {
  const std::uint64_t data =
      virtio_queue::kFeatureNotificationData | virtio_device::kFeatureNotifyConfigData;
  const auto device = echo();
  PciRig rig(device, {.queue_features = virtio_device::TransportCore::kQueueFeatures | data});
  REQUIRE(rig.start(kFeatureVersion1 | data));
  rig.set<std::uint16_t>(Common::kQueueSelect, 1);
  CHECK(rig.get<std::uint16_t>(Common::kQueueNotifyData) == 1);
  const auto offset = rig.get<std::uint16_t>(Common::kQueueNotifyOff);
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(PciRig::kRequest), .length = 8};
  int served = 0;
  for (const std::size_t width : {1u, 2u, 4u, 8u}) {
    REQUIRE(rig.drivers[1].add({&buffer, 1}));
    (void)rig.drivers[1].publish();
    std::array<std::byte, 8> word{};
    store_le(word.data(), std::uint64_t{0x0001'0001});
    const std::uint64_t at = rig.bar() + kNotifyPart.offset + offset * kNotifyMultiplier;
    REQUIRE(rig.caller.write(GuestAddress(at), std::span(word).first(width)));
    rig.run();
    CHECK(device->served() == ++served);
  }
  REQUIRE(rig.drivers[1].add({&buffer, 1}));
  (void)rig.drivers[1].publish();
  for (const std::uint64_t at : {1u, 2u, 5u, 6u, 0u, 8u}) {  // other queues, or none
    rig.write<std::uint16_t>(kNotifyPart.offset + at, 1);
  }
  rig.run();
  CHECK(device->served() == served);
}

TEST_CASE("a broken ring asks for a reset, which helps", "[status][hostile]") {
  PciRig rig(echo());
  REQUIRE(rig.start());
  REQUIRE(rig.memory.view().write(GuestAddress(PciRig::rings(0).driver.raw() + 2), Le16(1000)));
  rig.kick(0);
  rig.run();
  CHECK(rig.status() == (PciRig::kOk | virtio_device::kNeedsReset));
  CHECK(rig.sent(100) == 1);
  CHECK((rig.isr() & kIsrConfig) != 0);
  REQUIRE(rig.start());
  CHECK(rig.echo(0));
}

TEST_CASE("a device that does not start asks for a reset, which helps", "[device]") {
  const auto device = echo();
  PciRig rig(device);
  device->refuse(true);
  CHECK_FALSE(rig.start());
  CHECK(rig.status() == (PciRig::kOk | virtio_device::kNeedsReset));
  CHECK(rig.sent(100) == 1);
  CHECK((rig.isr() & kIsrConfig) != 0);
  device->refuse(false);
  REQUIRE(rig.start());
  CHECK(rig.echo(0));
}

TEST_CASE("the configuration space is read and written with any width", "[config]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start());
  const auto generation = rig.get<std::uint8_t>(Common::kConfigGeneration);
  rig.write<std::uint32_t>(0x4001, 0x4433'2211);
  rig.write<std::uint8_t>(0x4000, 0x99);
  CHECK(rig.read<std::uint64_t>(0x4000) == 0x0000'0044'3322'1199);
  CHECK(rig.read<std::uint16_t>(0x4003) == 0x4433);
  rig.write<std::uint64_t>(0x4008, ~std::uint64_t{0});  // half of it lies beyond
  CHECK(rig.read<std::uint64_t>(0x4008) == 0xffff'ffff);
  CHECK(rig.read<std::uint32_t>(0x400c) == 0);
  CHECK(rig.read<std::uint64_t>(0x4ffc) == 0);
  CHECK(rig.get<std::uint8_t>(Common::kConfigGeneration) == generation);
  device->fill_config(std::byte{7});
  CHECK(rig.get<std::uint8_t>(Common::kConfigGeneration) != generation);
  CHECK(rig.read<std::uint32_t>(0x4000) == 0x0707'0707);
  CHECK(rig.sent(100) == 1);
}

TEST_CASE("reset and activation in a loop leak nothing", "[status]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start());
  const std::size_t files = open_fds();
  const std::size_t routes = rig.msi.routes();
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(rig.start(kFeatureVersion1 | (i % 2 == 0 ? kFeaturePacked : 0), i % 3 != 0));
    REQUIRE(device->workers() == 1);
    if (i % 10 == 0) REQUIRE(rig.echo(static_cast<std::uint16_t>(i / 10 % 2)));
    rig.set_status(0);
    REQUIRE(device->workers() == 0);
  }
  CHECK(open_fds() == files);
  CHECK(rig.mmio.size() == 1);
  CHECK(rig.doorbells.all().size() == 2);
  CHECK(rig.msi.routes() == routes);
  CHECK(rig.msi.vectors() == 3);
  CHECK(device->resets() == device->activations());
}

TEST_CASE("what cannot be is refused", "[discovery]") {
  class Many final : public virtio_device::VirtioDevice {
   public:
    virtio_device::DeviceType type() const override { return virtio_device::DeviceType::kNet; }
    std::span<const std::uint16_t> queue_sizes() const override { return sizes; }
    std::uint64_t features() const override { return 0; }
    std::size_t config_bytes() const override { return 0; }
    void read_config(std::span<std::byte>) override {}
    void write_config(std::uint64_t, std::span<const std::byte>) override {}
    Result<virtio_device::WorkerList> activate(virtio_device::Activation) override {
      return virtio_device::WorkerList();
    }
    void reset() override {}
    std::vector<std::uint16_t> sizes;
  };
  const auto device = std::make_shared<Many>();
  PciRig rig(echo());
  for (const std::size_t queues : {std::size_t{kMaxQueues} + 1, std::size_t{0xffff}}) {
    device->sizes.assign(queues, 8);
    CHECK_FALSE(PciTransport::create({.device = device,
                                      .memory = rig.memory,
                                      .workers = rig.workers,
                                      .doorbells = rig.doorbells,
                                      .vectors = &rig.msi}));
  }
  device->sizes = {3};
  CHECK_FALSE(PciTransport::create({.device = device,
                                    .memory = rig.memory,
                                    .workers = rig.workers,
                                    .doorbells = rig.doorbells,
                                    .vectors = &rig.msi}));
  CHECK(rig.msi.vectors() == 3);
}

}  // namespace
}  // namespace vmm::virtio_pci
