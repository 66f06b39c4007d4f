// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The device with its worker on another thread, as in a VMM.

#include <array>
#include <thread>

#include "host_program.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/temp_directory.h"
#include "vmm/virtio_device/testing/guest_heap.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/virtio_vsock/vsock.h"

namespace vmm::virtio_vsock {
namespace {

using virtio_device::TransportCore;
using virtio_queue::driver::Buffer;
using virtio_queue::driver::Driver;

class NoSink final : public virtio_device::InterruptSink {
 public:
  void queue_interrupt(std::uint16_t) override {}
  void config_interrupt() override {}
  int queue_interrupt_fd(std::uint16_t) override { return -1; }
};

struct Machine {
  Machine(std::shared_ptr<Vsock> device, event_manager::EventLoop& loop)
      : workers({&loop}),
        core(*TransportCore::create({.device = std::move(device),
                                     .memory = heap.memory(),
                                     .workers = workers,
                                     .sink = sink})) {
    core->set_status(1);
    core->set_status(3);
    core->set_driver_features(1, 1);
    core->set_status(11);
    for (std::uint32_t i = 0; i < 3; ++i) drivers[i] = set_up(i);
    core->set_status(15);
    REQUIRE(core->active());
  }
  std::optional<Driver> set_up(std::uint32_t index) {
    const virtio_queue::RingAddresses rings{
        .descriptors = heap.take(4096), .driver = heap.take(4096), .device = heap.take(4096)};
    virtio_queue::QueueConfig& config = *core->editable_queue(index);
    REQUIRE(config.set_size(8));
    REQUIRE(config.set_descriptors(rings.descriptors));
    REQUIRE(config.set_driver(rings.driver));
    REQUIRE(config.set_device(rings.device));
    core->enable_queue(index);
    return *Driver::create({.rings = rings, .size = 8}, heap.view());
  }
  /// Offers a buffer and waits until it comes back.
  std::uint32_t exchange(std::uint16_t queue, const Buffer& buffer) {
    REQUIRE(drivers[queue]->add({&buffer, 1}));
    (void)drivers[queue]->publish();
    core->kick(queue);
    for (int i = 0; i < 60'000; ++i) {
      const auto used = drivers[queue]->reap();
      REQUIRE(used);
      if (*used) return (*used)->written;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    FAIL("a buffer did not come back");
    return 0;
  }

  virtio_device::testing::GuestHeap heap{1 << 20};
  NoSink sink;
  virtio_device::LoopWorkers workers;
  std::unique_ptr<TransportCore> core;
  std::array<std::optional<Driver>, 3> drivers;
};

TEST_CASE("machines come and go with open connections, and the device serves the next", "[vsock]") {
  const auto directory = *sys_util::TempDirectory::create();
  const std::string path = directory.path() + "/vsock";
  const auto device = *Vsock::create({.cid = 3, .socket = path});
  const auto thread = *event_manager::LoopThread::create("io");
  for (std::uint32_t life = 0; life < 20; ++life) {
    Machine machine(device, thread->loop());
    const HostProgram client = HostProgram::connect(path);
    REQUIRE(client.send("CONNECT 7\n") == 10);
    const GuestAddress rx = machine.heap.take(4096);
    CHECK(machine.exchange(0, {rx, 4096, true}) == kHeaderBytes);
    const auto wire = machine.heap.view().read<WireHeader>(rx);
    REQUIRE(wire);
    PacketHeader response = PacketHeader::parse(*wire);
    CHECK(response.op == Op::kRequest);
    std::swap(response.src_cid, response.dst_cid);
    std::swap(response.src_port, response.dst_port);
    response.op = life % 2 == 0 ? Op::kResponse : Op::kReset;
    const GuestAddress tx = machine.heap.put(virtio_device::testing::bytes_of(response.wire()));
    CHECK(machine.exchange(1, {tx, kHeaderBytes, false}) == 0);
    if (life % 3 == 0) device->transport_reset();
  }
}

}  // namespace
}  // namespace vmm::virtio_vsock
