// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Both sides of vhost-user against each other: a driver, a RemoteDevice, and a back end on threads.

#include "vmm/vhost_user_frontend/remote_device.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>

#include "remote_machine.h"
#include "soon.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace {

using namespace vmm;
using vhost_user_frontend::Machine;
using vhost_user_frontend::RemoteDevice;
using vhost_user_frontend::RemoteOptions;
using virtio_device::testing::EchoDevice;

TEST_CASE("a device that nobody serves says why there is none", "[remote]") {
  const auto none =
      RemoteDevice::create({.type = virtio_device::DeviceType::kBlock, .queue_sizes = {128}},
                           [] { return sys_util::connect_unix("/nowhere/at/all"); });
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().is_os(ENOENT));
}

TEST_CASE("a driver uses a device in another place", "[remote]") {
  for (const bool packed : {false, true}) {
    for (const bool direct : {false, true}) {
      CAPTURE(packed, direct);
      Machine machine(packed, direct);
      for (int round = 0; round < 2; ++round) {
        REQUIRE(machine.start());
        for (int i = 0; i < 40; ++i) CHECK(machine.echo_of("hello") == "hello");
      }
      if (direct) {
        CHECK(*machine.sink.event.take() > 0);
      } else {
        CHECK(soon([&] { return machine.sink.queue > 0; }));
      }
      CHECK(machine.echo->negotiated() == machine.features());
      machine.core->set_status(0);
      CHECK(machine.echo->workers() == 0);
    }
  }
}

TEST_CASE("interrupts of a device in another place follow the vector of the queue", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  const auto direct = [&machine](bool yes) {
    machine.sink.direct = yes;
    machine.core->interrupts_moved();
    return machine.echo_of("hello") == "hello";
  };
  const auto signalled = [&machine] {
    const auto count = machine.sink.event.take();
    return count && *count > 0;
  };
  CHECK(direct(true));
  CHECK(soon(signalled));
  const int passed_on = machine.sink.queue;
  CHECK(direct(false));
  CHECK(soon([&] { return machine.sink.queue > passed_on; }));
  CHECK(direct(true));
  CHECK(soon(signalled));
}

TEST_CASE("the driver sees what the back end offers and no more", "[remote]") {
  Machine machine;
  CHECK(machine.device->features() == EchoDevice::kFeature);
  CHECK((machine.device->ring_features() & virtio_queue::kFeaturePacked) != 0);
}

TEST_CASE("the configuration space is the back end's", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.echo->fill_config(std::byte{7});
  CHECK(soon([&] { return machine.sink.config > 0; }));
  std::array<std::byte, 12> config{};
  machine.core->read_config(0, config);
  CHECK(config[11] == std::byte{7});
  const std::array written = {std::byte{1}};
  machine.core->write_config(3, written);
  (void)machine.core->config_generation();
  machine.core->read_config(0, config);
  CHECK(config[3] == std::byte{1});
}

TEST_CASE("when the back end ends, the next one goes on", "[remote]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Machine machine(packed);
    REQUIRE(machine.start());
    for (int round = 0; round < 3; ++round) {
      CHECK(machine.echo_of("before") == "before");
      machine.end_back_end();
      machine.offer("meanwhile");
      ::usleep(150'000);
      CHECK_FALSE(machine.answer(1));
      machine.next_back_end();
      CHECK(machine.answer() == "meanwhile");
      CHECK(machine.echo_of("after") == "after");
    }
    CHECK(machine.core->status() == 15);
  }
}

TEST_CASE("a reset while nobody is there, and a start after it", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.end_back_end();
  machine.core->set_status(0);
  REQUIRE(machine.start());
  machine.offer("b");
  machine.next_back_end();
  CHECK(machine.answer() == "b");
}

TEST_CASE("a configuration space of which this side knows nothing", "[remote]") {
  RemoteOptions options{.queue_sizes = {Machine::kQueueSize}};
  options.config_of_back_end = true;
  Machine machine(false, false, options);
  CHECK(machine.device->config_bytes() == vhost_user_frontend::kMostConfig);  // ours fill it up
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.echo->fill_config(std::byte{7});
  CHECK(soon([&] { return machine.sink.config > 0; }));
  (void)machine.core->config_generation();
  std::array<std::byte, EchoDevice::kConfigBytes> config{};
  machine.core->read_config(0, config);
  CHECK(config.back() == std::byte{7});
}

/// Notes what it gets to serve.
struct NotingQueue final : vhost_user_frontend::OwnQueue {
  struct Idle final : virtio_device::Worker {
    Result<void> start(event_manager::EventLoop&) override { return {}; }
  };
  [[nodiscard]] std::uint16_t index(std::uint64_t) const override { return 1; }
  [[nodiscard]] std::uint16_t enabled_at_start(std::uint64_t) const override { return 0; }
  std::unique_ptr<virtio_device::Worker> make_worker(
      virtio_device::Activation activation) override {
    for (const auto& queue : activation.queues) got.push_back(queue.index);
    return std::make_unique<Idle>();
  }

  std::vector<std::uint16_t> got;
};

TEST_CASE("a queue of this side, which says how many of the back end's are enabled", "[remote]") {
  const auto own = std::make_shared<NotingQueue>();
  RemoteOptions options = Machine::options();
  options.queue_sizes = {Machine::kQueueSize, Machine::kQueueSize};  // the back end has one
  options.own_queue = own;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  CHECK(own->got.empty());
  machine.with_own_queue = true;
  REQUIRE(machine.start());
  CHECK(own->got == std::vector<std::uint16_t>{1});

  machine.offer("a");
  CHECK_FALSE(machine.answer(200));
  REQUIRE(machine.device->enable_queues(1));
  CHECK(machine.answer() == "a");
  REQUIRE(machine.device->enable_queues(0));
  machine.offer("b");
  CHECK_FALSE(machine.answer(200));
  machine.end_back_end();
  machine.next_back_end();
  CHECK_FALSE(machine.answer(500));
  REQUIRE(machine.device->enable_queues(1));
  CHECK(machine.answer() == "b");
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a device that cannot be resumed needs a reset, and starts anew after it", "[remote]") {
  RemoteOptions options = Machine::options();
  options.resumable = false;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.end_back_end();
  REQUIRE(soon([&] { return machine.core->status() != 15; }));
  CHECK(machine.core->status() == (15 | virtio_device::kNeedsReset));
  machine.next_back_end();
  machine.offer("b");
  CHECK_FALSE(machine.answer(300));
  REQUIRE(machine.start());
  CHECK(machine.echo_of("c") == "c");
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a running back end is told of memory that comes and goes", "[remote]") {
  constexpr std::uint64_t kPlugged = 0x100'0000;
  Machine machine;
  REQUIRE(machine.plug(kPlugged));  // nobody needs to know yet
  REQUIRE(machine.start());
  CHECK(machine.echo_of("before", kPlugged) == "before");
  for (std::uint64_t i = 1; i < 12; ++i) {  // more than one table has
    REQUIRE(machine.plug(kPlugged + (i << 20)));
    CHECK(machine.echo_of("new", kPlugged + (i << 20)) == "new");
  }
  CHECK(machine.echo_of("old", kPlugged) == "old");

  const std::weak_ptr<const vm_memory::Region> region =
      machine.memory.snapshot()->regions()[3];  // at kPlugged + 2 MiB
  REQUIRE(machine.unplug(kPlugged + (2 << 20)));
  CHECK(region.expired());
  REQUIRE(machine.plug(kPlugged + (2 << 20)));  // another one in its place
  CHECK(machine.echo_of("next", kPlugged + (2 << 20)) == "next");
  CHECK_FALSE(machine.plug(kPlugged));  // there is one

  REQUIRE(machine.start());  // after a reset, with all of them
  CHECK(machine.echo_of("again", kPlugged + (11 << 20)) == "again");
  for (std::uint64_t i = 0; i < 12; ++i) REQUIRE(machine.unplug(kPlugged + (i << 20)));
  CHECK(machine.echo_of("less") == "less");

  machine.end_back_end();
  REQUIRE(machine.plug(kPlugged));  // the next one is told
  machine.next_back_end();
  CHECK(machine.echo_of("elsewhere", kPlugged) == "elsewhere");
}

TEST_CASE("memory without a file is not told of, and the device goes on", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  REQUIRE(machine.memory.plug({.base = GuestAddress(0x100'0000), .bytes = 1 << 16}));
  CHECK(machine.device->memory_changed(machine.memory).error().is_os(EINVAL));
  CHECK(machine.echo_of("still") == "still");
}

TEST_CASE("guest memory that cannot be shared is refused", "[remote]") {
  Machine machine;
  vm_memory::RegionConfig plain{.base = GuestAddress(0x1'0000), .bytes = 1 << 20};
  machine.memory.replace(vm_memory::GuestMemory::create({&plain, 1})->snapshot());
  CHECK_FALSE(machine.start());
}

}  // namespace
