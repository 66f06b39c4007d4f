// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_mmio/mmio_transport.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/vm_device/testing/platform.h"
#include "vmm/vm_device/testing/recorders.h"

using namespace vmm;
using namespace vmm::virtio_mmio;
using virtio_device::testing::EchoDevice;
using vm_device::testing::FakeDoorbells;

namespace {

class SharedEcho final : public virtio_device::VirtioDevice,
                         public virtio_device::SharedMemoryOwner {
 public:
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
    return {.id = 5, .bytes = 0x1'0000'2000};
  }
  Result<void> place_shared_memory(const GuestAddress* address) override {
    placed = *address;
    return {};
  }

  GuestAddress placed;
};

vm_memory::GuestMemory small_memory() {
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 1 << 20};
  return *vm_memory::GuestMemory::create({&ram, 1});
}

struct Board {
  explicit Board(std::shared_ptr<virtio_device::VirtioDevice> device,
                 std::uint64_t more_features = 0) {
    transport = *MmioTransport::create(
        {.device = std::move(device),
         .memory = memory,
         .workers = workers,
         .irq = line,
         .doorbells = doorbells,
         .base = GuestAddress(0xd000'0000),
         .shared_memory = GuestAddress(0x8'0000'0000),
         .queue_features = virtio_device::TransportCore::kQueueFeatures | more_features});
  }

  std::uint32_t get(Register reg) {
    Le32 value;
    transport->read(static_cast<std::uint64_t>(reg), std::as_writable_bytes(std::span(&value, 1)));
    return value.get();
  }
  void set(Register reg, std::uint32_t raw) {
    const Le32 value(raw);
    transport->write(static_cast<std::uint64_t>(reg), std::as_bytes(std::span(&value, 1)));
  }
  void set_queue(std::uint32_t index, std::uint32_t base) {
    set(Register::kQueueSel, index);
    set(Register::kQueueNum, 8);
    set(Register::kQueueDescLow, base);
    set(Register::kQueueDriverLow, base + 0x1000);
    set(Register::kQueueDeviceLow, base + 0x2000);
    set(Register::kQueueReady, 1);
  }
  void negotiate(std::uint64_t features = 0) {
    for (const std::uint32_t status : {1u, 3u}) set(Register::kStatus, status);
    set(Register::kDriverFeaturesSel, 1);
    set(Register::kDriverFeatures, 1 | static_cast<std::uint32_t>(features >> 32));
    set(Register::kStatus, 0xb);
  }
  void go(std::uint64_t features = 0) {
    negotiate(features);
    set_queue(0, 0x1000);
    set_queue(1, 0x5000);
    set(Register::kStatus, 0xf);
  }
  void run() {
    for (int i = 0; i < 4; ++i) (void)loop.run_once(std::chrono::milliseconds(0));
  }

  vm_memory::GuestMemory memory = small_memory();
  event_manager::EventLoop loop = *event_manager::EventLoop::create();
  virtio_device::InlineWorkers workers{loop};
  vm_device::testing::FakeLine line;
  FakeDoorbells doorbells;
  std::shared_ptr<MmioTransport> transport;
};

}  // namespace

TEST_CASE("the registers tell what the device is", "[mmio]") {
  Board board(std::make_shared<EchoDevice>());
  CHECK(board.get(Register::kMagicValue) == 0x74726976);
  CHECK(board.get(Register::kVersion) == 2);
  CHECK(board.get(Register::kDeviceId) == 4);
  CHECK(board.get(Register::kVendorId) == 0);
  CHECK(board.get(Register::kQueueNumMax) == EchoDevice::kQueueSize);
  board.set(Register::kQueueSel, 2);
  CHECK(board.get(Register::kQueueNumMax) == 0);
  CHECK(board.get(Register::kQueueReady) == 0);
  CHECK(board.get(Register::kDeviceFeatures) != 0);
  for (const std::uint32_t word : {2u, ~0u}) {
    board.set(Register::kDeviceFeaturesSel, word);
    CHECK(board.get(Register::kDeviceFeatures) == 0);
  }
  for (const Register reg : {Register::kShmLenLow, Register::kShmLenHigh, Register::kShmBaseLow,
                             Register::kShmBaseHigh}) {
    CHECK(board.get(reg) == 0xffff'ffff);
  }
}

TEST_CASE("a driver sets the device up, kicks, and acknowledges its interrupt", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  auto driver = *virtio_queue::driver::Driver::create(
      {.rings = {GuestAddress(0x5000), GuestAddress(0x6000), GuestAddress(0x7000)},
       .size = 8,
       .packed = false},
      board.memory.view());
  board.go();
  REQUIRE(board.get(Register::kStatus) == 0xf);
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
  REQUIRE(driver.add({&buffer, 1}));
  REQUIRE(driver.publish());
  board.set(Register::kQueueNotify, 1);
  board.run();
  CHECK(device->served() == 1);
  CHECK(board.get(Register::kInterruptStatus) == kInterruptUsedBuffers);
  CHECK(board.line.level());
  device->fill_config(std::byte{1});
  CHECK(board.get(Register::kInterruptStatus) == 3);
  board.set(Register::kInterruptAck, kInterruptUsedBuffers);
  CHECK(board.line.level());
  board.set(Register::kInterruptAck, ~0u);
  CHECK(board.get(Register::kInterruptStatus) == 0);
  CHECK_FALSE(board.line.level());
}

TEST_CASE("what comes between the look at the status and its acknowledgement is told", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  board.go();
  // With either kind first, and a line that only tells of its rises.
  const auto raise = [&](std::uint32_t kind) {
    kind == kInterruptConfigChange ? device->fill_config(std::byte{1})
                                   : device->interrupt()->used_buffers(0);
  };
  for (const std::uint32_t first : {kInterruptUsedBuffers, kInterruptConfigChange}) {
    raise(first);
    const std::size_t told = board.line.rises();
    raise(first ^ 3);
    board.set(Register::kInterruptAck, first);
    CHECK(board.get(Register::kInterruptStatus) == (first ^ 3));
    CHECK(board.line.rises() == told + 1);
    board.set(Register::kInterruptAck, first ^ 3);
    CHECK_FALSE(board.line.level());
    CHECK(board.line.rises() == told + 1);
  }
}

TEST_CASE("a reset takes the interrupt away", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  board.go();
  device->fill_config(std::byte{2});
  REQUIRE(board.line.level());
  board.set(Register::kStatus, 0);
  CHECK_FALSE(board.line.level());
  CHECK(board.get(Register::kInterruptStatus) == 0);
}

TEST_CASE("a device that does not start asks for a reset, by its interrupt too", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  device->refuse(true);
  board.go();
  CHECK(board.get(Register::kStatus) == 0x4f);
  CHECK(board.get(Register::kInterruptStatus) == 2);
  CHECK(board.line.level());
  board.set(Register::kInterruptAck, 2);
  CHECK(board.get(Register::kInterruptStatus) == 0);
  CHECK_FALSE(board.line.level());
  board.set(Register::kStatus, 0);
  device->refuse(false);
  board.go();
  CHECK(board.get(Register::kStatus) == 0xf);
}

// 4.2.2.1.
TEST_CASE("a reset clears QueueReady of all queues", "[mmio]") {
  Board board(std::make_shared<EchoDevice>());
  board.go();
  for (const std::uint32_t queue : {0u, 1u}) {
    board.set(Register::kQueueSel, queue);
    CHECK(board.get(Register::kQueueReady) == 1);
  }
  board.set(Register::kStatus, 0);
  for (const std::uint32_t queue : {0u, 1u}) {
    board.set(Register::kQueueSel, queue);
    CHECK(board.get(Register::kQueueReady) == 0);
  }
}

// Of queue 0, which was stopped: what is made available is not looked at, as it would break the
// ring; a queue that is set up elsewhere is served.
void check_stopped_and_set_up_again(Board& board, const EchoDevice& device) {
  REQUIRE(board.memory.view().write(GuestAddress(0x2002), Le16(1000)));
  board.set(Register::kQueueNotify, 0);
  board.run();
  CHECK(board.get(Register::kStatus) == 0xf);
  auto driver = *virtio_queue::driver::Driver::create(
      {.rings = {GuestAddress(0x9000), GuestAddress(0xa000), GuestAddress(0xb000)},
       .size = 8,
       .packed = false},
      board.memory.view());
  board.set_queue(0, 0x9000);
  CHECK(board.get(Register::kQueueReady) == 1);
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
  REQUIRE(driver.add({&buffer, 1}));
  REQUIRE(driver.publish());
  board.set(Register::kQueueNotify, 0);
  board.run();
  CHECK(device.served() == 1);
  CHECK(device.resets() == 0);
}

TEST_CASE("a queue is reset by its register, and enabled again", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  board.negotiate(virtio_queue::kFeatureRingReset);
  board.set_queue(0, 0x1000);
  board.set_queue(1, 0x5000);
  board.set(Register::kStatus, 0xf);
  board.set(Register::kQueueSel, 0);
  CHECK(board.get(Register::kQueueReset) == 0);
  board.set(Register::kQueueReset, 0);
  CHECK(board.get(Register::kQueueReady) == 1);
  board.set(Register::kQueueReset, 1);
  CHECK(board.get(Register::kQueueReset) == 0);
  CHECK(board.get(Register::kQueueReady) == 0);
  check_stopped_and_set_up_again(board, *device);
  CHECK(board.get(Register::kQueueReset) == 0);
}

// 4.2.2.2: so a driver stops using a queue, whatever it has negotiated.
TEST_CASE("a queue whose QueueReady is cleared is left alone, and enabled again", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  board.go();
  board.set(Register::kQueueSel, 0);
  board.set(Register::kQueueReady, 2);  // which says nothing
  CHECK(board.get(Register::kQueueReady) == 1);
  board.set(Register::kQueueReady, 0);
  CHECK(board.get(Register::kQueueReady) == 0);
  check_stopped_and_set_up_again(board, *device);
}

// 4.2.3.3.
TEST_CASE("a notification names its queue, with data or without", "[mmio][hostile]") {
  for (const bool data : {false, true}) {
    CAPTURE(data);
    const auto device = std::make_shared<EchoDevice>();
    Board board(device, virtio_queue::kFeatureNotificationData);
    auto driver = *virtio_queue::driver::Driver::create(
        {.rings = {GuestAddress(0x5000), GuestAddress(0x6000), GuestAddress(0x7000)},
         .size = 8,
         .packed = false},
        board.memory.view());
    board.go(data ? virtio_queue::kFeatureNotificationData : 0);
    board.run();
    const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
    REQUIRE(driver.add({&buffer, 1}));
    REQUIRE(driver.publish());
    board.set(Register::kQueueNotify, 0xffff'0000);  // another queue, or none
    board.set(Register::kQueueNotify, 0x1'0002);
    board.run();
    CHECK(device->served() == 0);
    board.set(Register::kQueueNotify, 0x1'0001);
    board.run();
    CHECK(device->served() == (data ? 1 : 0));
    board.set(Register::kQueueNotify, 1);
    board.run();
    CHECK(device->served() == 1);
  }
}

TEST_CASE("the generation changes with the configuration, and not without", "[mmio]") {
  const auto device = std::make_shared<EchoDevice>();
  Board board(device);
  board.go();
  const std::uint32_t before = board.get(Register::kConfigGeneration);
  CHECK(board.get(Register::kConfigGeneration) == before);
  device->fill_config(std::byte{3});
  CHECK(board.get(Register::kConfigGeneration) != before);
}

TEST_CASE("registers answer 4 bytes at multiples of 4 and nothing else", "[mmio][hostile]") {
  Board board(std::make_shared<EchoDevice>());
  for (std::uint64_t offset = 0; offset < 0x100; ++offset) {
    for (const std::size_t bytes : {1u, 2u, 3u, 4u, 8u, 16u}) {
      std::vector<std::byte> data(bytes, std::byte{0xff});
      if (bytes == 4 && offset % 4 == 0) continue;
      board.transport->read(offset, data);
      CAPTURE(offset, bytes);
      CHECK(std::ranges::all_of(data, [](std::byte b) { return b == std::byte{0}; }));
      board.transport->write(offset, std::vector<std::byte>(bytes, std::byte{1}));
      CHECK(board.get(Register::kStatus) == 0);
    }
  }
}

TEST_CASE("the configuration space takes any size, clipped", "[mmio][hostile]") {
  Board board(std::make_shared<EchoDevice>());
  board.transport->write(kConfigOffset + 11, std::vector<std::byte>(8, std::byte{9}));
  std::vector<std::byte> data(16, std::byte{0xff});
  board.transport->read(kConfigOffset + 8, data);
  CHECK(data[3] == std::byte{9});
  CHECK(data[4] == std::byte{0});
  board.transport->read(MmioTransport::kSize - 1, std::span(data).first(1));
  board.transport->write(MmioTransport::kSize - 1, std::span(data).first(1));
}

TEST_CASE("queue registers keep their values outside of the set-up", "[mmio][hostile]") {
  Board board(std::make_shared<EchoDevice>());
  const auto try_ready = [&] {
    board.set_queue(0, 0x1000);
    return board.get(Register::kQueueReady);
  };
  CHECK(try_ready() == 0);
  board.negotiate();
  board.set(Register::kQueueReady, 2);
  CHECK(board.get(Register::kQueueReady) == 0);
  CHECK(try_ready() == 1);
  board.set(Register::kStatus, 0xf);
  board.set(Register::kQueueSel, 1);
  board.set(Register::kQueueReady, 1);
  CHECK(board.get(Register::kQueueReady) == 0);
}

TEST_CASE("an acknowledgement before DRIVER_OK changes nothing", "[mmio][hostile]") {
  Board board(std::make_shared<EchoDevice>());
  board.negotiate();
  board.set(Register::kInterruptAck, ~0u);
  CHECK(board.get(Register::kInterruptStatus) == 0);
  board.set(Register::kQueueNotify, ~0u);
  board.set(Register::kQueueNotify, 2);
}

TEST_CASE("each queue has a doorbell, as long as the transport lives", "[mmio]") {
  Board board(std::make_shared<EchoDevice>());
  REQUIRE(board.doorbells.all().size() == 2);
  CHECK(board.doorbells.all()[1].address == GuestAddress(0xd000'0050));
  CHECK(board.doorbells.all()[1].bytes == 4);
  CHECK(board.doorbells.all()[1].value == 1);
  board.transport.reset();
  CHECK(board.doorbells.all().empty());
}

TEST_CASE("shared memory is announced where it was placed", "[mmio]") {
  const auto device = std::make_shared<SharedEcho>();
  Board board(device);
  CHECK(device->placed == GuestAddress(0x8'0000'0000));
  board.set(Register::kShmSel, 5);
  CHECK(board.get(Register::kShmLenLow) == 0x2000);
  CHECK(board.get(Register::kShmLenHigh) == 1);
  CHECK(board.get(Register::kShmBaseLow) == 0);
  CHECK(board.get(Register::kShmBaseHigh) == 8);
  board.set(Register::kShmSel, 6);
  CHECK(board.get(Register::kShmLenLow) == 0xffff'ffff);
}
