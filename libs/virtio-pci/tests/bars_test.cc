// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What follows the BARs: doorbells, shared memory, the window in configuration space, and removal.

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "pci_rig.h"

namespace vmm::virtio_pci {
namespace {

using virtio_device::kFeatureVersion1;

std::shared_ptr<EchoDevice> echo() { return std::make_shared<EchoDevice>(); }

class SharedEcho final : public virtio_device::VirtioDevice,
                         public virtio_device::SharedMemoryOwner {
 public:
  explicit SharedEcho(std::uint64_t bytes) : bytes_(bytes) {}
  virtio_device::DeviceType type() const override { return virtio_device::DeviceType::kFs; }
  std::span<const std::uint16_t> queue_sizes() const override { return {}; }
  std::uint64_t features() const override { return 0; }
  std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation) override {
    return virtio_device::WorkerList();
  }
  void reset() override {}
  virtio_device::SharedMemoryOwner* shared_memory_owner() override { return this; }
  virtio_device::SharedMemoryRegion shared_memory() const override {
    return {.id = 5, .bytes = bytes_};
  }
  Result<void> place_shared_memory(const GuestAddress* address) override {
    placed = address == nullptr ? std::nullopt : std::optional(address->raw());
    if (refuse) return fail(Error::os(ENOMEM, "map"));
    return {};
  }

  std::optional<std::uint64_t> placed;
  bool refuse = false;

 private:
  std::uint64_t bytes_;
};

TEST_CASE("doorbells are where the notifications are, and move with them", "[doorbell]") {
  PciRig rig(echo());
  CHECK(rig.doorbells.all().empty());
  const auto are_at = [&](std::uint64_t bar) {
    if (rig.doorbells.all().size() != 2) return false;
    for (std::size_t queue = 0; queue < 2; ++queue) {
      const vm_device::Doorbell& bell = rig.doorbells.all()[queue];
      if (bell.address.raw() != bar + 0x6000 + 4 * queue || bell.value || bell.fd < 0) return false;
    }
    return rig.doorbells.all()[0].fd != rig.doorbells.all()[1].fd;
  };
  REQUIRE(rig.start());
  CHECK(are_at(PciRig::kHigh.base.raw()));
  rig.set_bar(0x12'3450'0000);
  CHECK(are_at(0x12'3450'0000));
  CHECK(rig.echo(0));
  rig.set_bar(0xc100'0000);
  CHECK(are_at(0xc100'0000));
  CHECK(rig.echo(1));
  rig.set_config<std::uint16_t>(pci::kCommand, pci::kCommandBusMaster);
  CHECK(rig.doorbells.all().empty());
  CHECK(rig.mmio.size() == 0);
  rig.enable();
  CHECK(are_at(0xc100'0000));
  rig.set_bar(0);  // over RAM
  CHECK(rig.doorbells.all().empty());
  CHECK(rig.mmio.size() == 0);
  rig.set_bar(0xc200'0000);
  CHECK(are_at(0xc200'0000));
  CHECK(rig.status() == PciRig::kOk);
  CHECK(rig.echo(0));
}

TEST_CASE("a kick by its doorbell is served", "[doorbell]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start());
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(PciRig::kRequest), .length = 8};
  REQUIRE(rig.drivers[1].add({&buffer, 1}));
  (void)rig.drivers[1].publish();
  const std::uint64_t one = 1;
  REQUIRE(::write(rig.doorbells.all()[1].fd, &one, sizeof(one)) == sizeof(one));
  rig.run();
  CHECK(device->served() == 1);
}

TEST_CASE("a device works without doorbells", "[doorbell]") {
  PciRig rig(echo());
  rig.doorbells.refuse(true);
  REQUIRE(rig.start());
  CHECK(rig.doorbells.all().empty());
  CHECK(rig.echo(0));
}

TEST_CASE("shared memory has a BAR and a capability of 64 bits", "[shm]") {
  const std::uint64_t bytes = std::uint64_t{2} << 32;
  const auto device = std::make_shared<SharedEcho>(bytes);
  PciRig rig(device);
  const auto found = rig.capability(CapabilityKind::kSharedMemory);
  REQUIRE(found);
  CHECK(found->length == 24);
  CHECK(found->bar == 2);
  CHECK(found->id == 5);
  CHECK(found->offset == 0);
  CHECK(found->bytes == 0);
  CHECK(rig.config<std::uint32_t>(found->at + 16u) == 0);
  CHECK(rig.config<std::uint32_t>(found->at + 20u) == 2);
  CHECK((rig.config<std::uint32_t>(pci::kBar0 + 8u) & 0xf) == 0xc);  // 64 bits, prefetchable
  CHECK_FALSE(device->placed);
  rig.enable();
  CHECK(device->placed == rig.bar(2));
  rig.set_bar(0x16'0000'0000, 2);
  CHECK(device->placed == 0x16'0000'0000);
  rig.set_bar(0, 2);
  CHECK_FALSE(device->placed);
  device->refuse = true;
  rig.set_bar(0x18'0000'0000, 2);
  CHECK(rig.config<std::uint16_t>(pci::kVendorId) == 0x1af4);
  REQUIRE(rig.segment->remove(1));
  CHECK_FALSE(device->placed);
}

TEST_CASE("shared memory that is no BAR is refused", "[shm]") {
  PciRig rig(echo());
  for (const std::uint64_t bytes : {0ull, 2048ull, 4097ull, 0x1'8000'0000ull, ~0ull}) {
    CHECK_FALSE(PciTransport::create({.device = std::make_shared<SharedEcho>(bytes),
                                      .memory = rig.memory,
                                      .workers = rig.workers,
                                      .doorbells = rig.doorbells}));
  }
}

/// The window of configuration space: 4.1.4.9.
struct Window {
  explicit Window(PciRig& board)
      : rig(board), at(board.capability(CapabilityKind::kPciConfig)->at) {}
  void point(std::uint8_t bar, std::uint32_t offset, std::uint32_t bytes) {
    rig.set_config<std::uint8_t>(at + 4u, bar);
    rig.set_config<std::uint32_t>(at + 8u, offset);
    rig.set_config<std::uint32_t>(at + 12u, bytes);
  }

  PciRig& rig;
  std::uint8_t at;
};

TEST_CASE("the window reaches each register without a BAR", "[window]") {
  PciRig rig(echo());
  Window window(rig);
  window.point(0, 0x14, 1);
  rig.set_config<std::uint8_t>(window.at + 16u, 1);
  CHECK(rig.config<std::uint8_t>(window.at + 16u) == 1);
  window.point(0, 0x12, 2);
  CHECK(rig.config<std::uint16_t>(window.at + 16u) == 2);
  window.point(0, 0x8000 + 12, 4);
  CHECK(rig.config<std::uint32_t>(window.at + 16u) == 1);
  rig.set_config<std::uint32_t>(window.at + 16u, 0);
  CHECK(rig.config<std::uint32_t>(window.at + 16u) == 0);
  window.point(0, 0x4000, 4);
  rig.set_config<std::uint32_t>(window.at + 16u, 0xdead'beef);
  CHECK(rig.config<std::uint32_t>(window.at + 16u) == 0xdead'beef);
  rig.enable();
  CHECK(rig.status() == 1);
  CHECK(rig.read<std::uint32_t>(0x4000) == 0xdead'beef);
  CHECK(rig.read<std::uint32_t>(0x8000 + 12) == 0);
}

TEST_CASE("the window kicks, reads the ISR status and resets", "[window]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start(kFeatureVersion1, false));
  Window window(rig);
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(PciRig::kRequest), .length = 8};
  REQUIRE(rig.drivers[1].add({&buffer, 1}));
  (void)rig.drivers[1].publish();
  window.point(0, 0x6004, 2);
  rig.set_config<std::uint16_t>(window.at + 16u, 1);
  rig.run();
  CHECK(device->served() == 1);
  CHECK(rig.line.level());
  window.point(0, 0x2000, 1);
  CHECK(rig.config<std::uint8_t>(window.at + 16u) == kIsrQueue);
  CHECK_FALSE(rig.line.level());
  window.point(0, 0x14, 1);
  rig.set_config<std::uint8_t>(window.at + 16u, 0);
  CHECK(rig.status() == 0);
  CHECK(device->workers() == 0);
}

TEST_CASE("a window to anywhere else does nothing", "[window][hostile]") {
  PciRig rig(echo());
  REQUIRE(rig.start());
  Window window(rig);
  struct Case {
    std::uint8_t bar;
    std::uint32_t offset;
    std::uint32_t bytes;
  };
  for (const Case& c :
       {Case{1, 0x14, 1}, Case{2, 0x14, 1}, Case{0xff, 0x14, 1}, Case{0, 0x14, 0}, Case{0, 0x14, 3},
        Case{0, 0x10, 8}, Case{0, 0x14, 16}, Case{0, 0x14, 0xffff'ffff}, Case{0, 0x15, 2},
        Case{0, 0x12, 4}, Case{0, 0x8'0000, 1}, Case{0, 0x8'0000, 4}, Case{0, 0xffff'fffc, 4},
        Case{0, 0xffff'ffff, 1}, Case{0, 0x8000'0014, 1}}) {
    window.point(c.bar, c.offset, c.bytes);
    CAPTURE(unsigned{c.bar}, c.offset, c.bytes);
    rig.set_config<std::uint32_t>(window.at + 16u, 0x5a5a'5a5a);
    CHECK(rig.config<std::uint32_t>(window.at + 16u) == 0x5a5a'5a5a);  // plain memory
    rig.set_config<std::uint32_t>(window.at + 16u, 0);
    CHECK(rig.status() == PciRig::kOk);
  }
  // Only accesses that touch the data reach through.
  window.point(0, 0x14, 1);
  rig.set_config<std::uint32_t>(window.at + 12u, 1);
  CHECK(rig.status() == PciRig::kOk);
  CHECK(rig.config<std::uint8_t>(window.at + 1u) != 0);
  rig.set_config<std::uint32_t>(window.at, 0);
  CHECK(rig.config<std::uint8_t>(window.at) == pci::kCapabilityVendor);
  CHECK(rig.echo(0));
}

TEST_CASE("parts of the BAR where nothing is read as zeros", "[registers][hostile]") {
  PciRig rig(echo());
  REQUIRE(rig.start());
  for (const std::uint64_t at :
       {0x3cu, 0x1000u, 0x2001u, 0x2ffcu, 0x5000u, 0x6000u, 0x7000u, 0x4'8800u, 0x7'fff8u}) {
    rig.write<std::uint64_t>(at, ~std::uint64_t{0});
    CHECK(rig.read<std::uint64_t>(at) == 0);
  }
  CHECK(rig.status() == PciRig::kOk);
  CHECK(rig.echo(0));
}

TEST_CASE("a device that is removed while it runs leaves nothing behind", "[hotplug]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.start());
  REQUIRE(rig.echo(0));
  const auto late = device->interrupt();
  const std::uint64_t bar = rig.bar();
  REQUIRE(rig.segment->remove(1));
  CHECK(device->workers() == 0);
  CHECK(device->resets() == 1);
  CHECK(rig.doorbells.all().empty());
  CHECK(rig.mmio.size() == 0);
  CHECK(rig.msi.routes() == 0);
  CHECK_FALSE(rig.line.level());
  CHECK(rig.config<std::uint32_t>(pci::kVendorId) == 0xffff'ffff);
  std::array<std::byte, 4> data{};
  CHECK_FALSE(rig.caller.read(GuestAddress(bar), data));
  late->config_changed();
  late->needs_reset();
  // A vCPU that had found the function before: it is off the buses for good.
  data = {std::byte{0x06}, std::byte{0}, std::byte{0}, std::byte{0}};
  rig.transport->write_config(pci::kCommand, data);
  CHECK(rig.mmio.size() == 0);
  CHECK(rig.doorbells.all().empty());
  rig.transport.reset();
  CHECK(rig.msi.vectors() == 0);
}

TEST_CASE("devices are plugged in and out a thousand times", "[hotplug]") {
  const auto device = echo();
  PciRig rig(device);
  REQUIRE(rig.segment->remove(1));
  rig.transport.reset();
  for (int i = 0; i < 1000; ++i) {
    auto transport = PciTransport::create({.device = device,
                                           .memory = rig.memory,
                                           .workers = rig.workers,
                                           .doorbells = rig.doorbells,
                                           .vectors = &rig.msi});
    REQUIRE(transport);
    REQUIRE(rig.segment->add(*transport, {.slot = std::uint8_t{1}}));
    REQUIRE(rig.start());
    if (i % 50 == 0) REQUIRE(rig.echo(0));
    REQUIRE(rig.segment->remove(1));
  }
  CHECK(device->workers() == 0);
  CHECK(device->resets() == device->activations());
  CHECK(rig.msi.vectors() == 0);
  CHECK(rig.msi.routes() == 0);
  CHECK(rig.mmio.size() == 0);
  CHECK(rig.doorbells.all().empty());
}

TEST_CASE("registers are read while their BAR moves and the device is reset", "[threads]") {
  PciRig rig(echo());
  REQUIRE(rig.start());
  std::atomic<bool> stop{false};
  std::atomic<int> odd{0};
  std::jthread reader([&] {
    vm_device::MmioCaller caller(rig.mmio);
    while (!stop) {
      for (const std::uint64_t bar : {0xc100'0000u, 0xc200'0000u}) {
        std::array<std::byte, 2> data{};
        (void)caller.read(GuestAddress(bar + 0x12), data);
        const auto queues = load_le<std::uint16_t>(data.data());
        if (queues != 2 && queues != 0xffff) ++odd;
      }
    }
  });
  for (int i = 0; i < 500; ++i) {
    rig.set_bar(i % 2 == 0 ? 0xc100'0000 : 0xc200'0000);
    if (i % 10 == 0) REQUIRE(rig.start());
  }
  stop = true;
  reader.join();
  CHECK(odd == 0);
  CHECK(rig.echo(0));
}

}  // namespace
}  // namespace vmm::virtio_pci
