// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Devices over a vhost of the test's own; the kernel's is in the lab.

#include "src/vhost_worker.h"

#include <catch2/catch.hpp>
#include <optional>

#include "fake_vhost.h"
#include "fd_pairs.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vhost_device/kernel_net.h"
#include "vmm/vhost_device/kernel_vsock.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_net/net.h"

using namespace vmm;
using namespace vmm::vhost_device;
using virtio_device::testing::DeviceRig;
using virtio_net::Net;
using virtio_net::NetPort;

namespace {

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << 32;
constexpr std::uint64_t kMrgRxbuf = std::uint64_t{1} << 15;
constexpr const char* kAnyFile = "/dev/null";  // what is opened; its ioctls are answered here

/// Runs a test's body where it can be run; its checks are this program's, one thread at a time.
void with(FakeVhost& vhost, const std::function<void()>& body) {
  if (!with_vhost(vhost, body)) WARN("skipped: this kernel has no user notifications of seccomp");
}

std::shared_ptr<KernelVsock> make_vsock() {
  auto vsock = KernelVsock::create({.cid = 3, .path = kAnyFile});
  REQUIRE(vsock);
  return *vsock;
}

std::shared_ptr<Net> make_net(std::size_t pairs = 1) {
  std::vector<NetPort> ports;
  std::vector<std::unique_ptr<virtio_net::PacketEngine>> engines;
  for (std::size_t i = 0; i < pairs; ++i) {
    ports.push_back(*NetPort::adopt_socket(socket_pair(SOCK_SEQPACKET).first, true));
    auto engine = KernelNet::open(kAnyFile);
    REQUIRE(engine);
    engines.push_back(std::move(*engine));
  }
  auto net = Net::create({}, std::move(ports), std::move(engines));
  REQUIRE(net);
  return *net;
}

bool is_kicked(const FakeVhost::Ring& ring) {
  std::uint64_t count = 0;
  return ::read(ring.kick.get(), &count, sizeof(count)) == sizeof(count) && count != 0;
}

std::uint64_t host_address(DeviceRig& rig, GuestAddress address) {
  const auto& region = rig.memory().regions()[0];
  return reinterpret_cast<std::uintptr_t>(region.host.data()) + (address.raw() - region.base.raw());
}

}  // namespace

TEST_CASE("at DRIVER_OK the kernel gets memory, rings and events, and runs", "[worker]") {
  FakeVhost vhost;
  with(vhost, [&] {
    const auto vsock = make_vsock();
    CHECK(vhost.cid == 3);
    CHECK(vhost.asked(VHOST_SET_OWNER));
    DeviceRig rig(vsock, {.event_idx = true, .features = 1u << 28, .queue_size = 32});
    CHECK(rig.config<std::uint64_t>(0) == 3);
    REQUIRE(rig.start());
    CHECK(vhost.set_features == (kVersion1 | 1u << 29 | 1u << 28));
    CHECK(vhost.regions == 1);
    for (std::uint16_t i = 0; i < 2; ++i) {
      const FakeVhost::Ring& ring = vhost.rings[i];
      CHECK(ring.running);
      CHECK(ring.size == 32);
      CHECK(ring.base == 0);
      CHECK(ring.address.desc_user_addr == host_address(rig, rig.rings(i).descriptors));
      CHECK(ring.address.avail_user_addr == host_address(rig, rig.rings(i).driver));
      CHECK(ring.address.used_user_addr == host_address(rig, rig.rings(i).device));
      CHECK(ring.address.flags == 0);
      CHECK(is_kicked(ring));  // there may be buffers already
      rig.core().kick(i);
      CHECK(is_kicked(ring));
    }
    rig.reset();
    CHECK(vhost.is_idle());
    REQUIRE(rig.start());
    CHECK(vhost.rings[0].running);
  });
}

TEST_CASE("without a vector of its own, a queue's interrupts come by", "[worker]") {
  FakeVhost vhost;
  with(vhost, [&] {
    DeviceRig rig(make_vsock());
    REQUIRE(rig.start());
    for (std::uint16_t i = 0; i < 2; ++i) {
      FakeVhost::signal(vhost.rings[i].call);
      rig.run();
      CHECK(rig.interrupts(i) == 1);
    }
    CHECK(rig.interrupts(2) == 0);
  });
}

TEST_CASE("with a vector of its own, the kernel has it; at the end it says where it was",
          "[worker]") {
  struct VectorSink final : virtio_device::Interrupt {
    void used_buffers(std::uint16_t) override { ++relayed; }
    void config_changed() override {}
    void needs_reset() override {}
    int used_buffers_fd(std::uint16_t queue) override { return queue == owner ? vector.fd() : -1; }
    std::uint16_t owner = 0;
    sys_util::EventFd vector = *sys_util::EventFd::create();
    int relayed = 0;
  };
  FakeVhost vhost;
  with(vhost, [&] {
    const auto vsock = make_vsock();
    DeviceRig other(std::make_shared<virtio_device::testing::EchoDevice>());  // for its queues
    REQUIRE(other.start());
    const auto sink = std::make_shared<VectorSink>();
    virtio_device::Activation activation{
        .memory = other.heap().memory(), .features = kVersion1, .queues = {}, .interrupt = sink};
    const auto kick = *sys_util::EventFd::create();
    const std::array left_at{std::make_shared<virtio_queue::QueuePosition>(),
                             std::make_shared<virtio_queue::QueuePosition>()};
    for (std::uint16_t i = 0; i < 2; ++i) {
      auto queue = other.core().queue(i)->activate(other.heap().memory());
      REQUIRE(queue);
      activation.queues.push_back(
          {.index = i, .queue = std::move(*queue), .kick_fd = kick.fd(), .left_at = left_at[i]});
    }
    auto workers = vsock->activate(std::move(activation));
    REQUIRE(workers);
    REQUIRE((*workers)[0]->start(other.loop()));
    FakeVhost::signal(vhost.rings[0].call);
    CHECK(sink->vector.take());  // the same counter
    FakeVhost::signal(vhost.rings[1].call);
    other.run();
    CHECK(sink->relayed == 1);
    sink->owner = 1;  // the driver has given the vector to the other queue
    (*workers)[0]->move_interrupts();
    FakeVhost::signal(vhost.rings[1].call);
    CHECK(sink->vector.take());
    FakeVhost::signal(vhost.rings[0].call);
    other.run();
    CHECK(sink->relayed == 2);
    CHECK_FALSE(sink->vector.take());
    (*workers)[0]->drain();
    CHECK_FALSE((vhost.rings[0].running || vhost.rings[1].running));
    vhost.rings[0].base = 7;  // it has served some
    vhost.rings[1].base = 9;
    workers->clear();
    CHECK(*left_at[0] == virtio_queue::QueuePosition{.next_avail = 7, .next_used = 7});
    CHECK(*left_at[1] == virtio_queue::QueuePosition{.next_avail = 9, .next_used = 9});
    CHECK(vhost.is_idle());
  });
}

TEST_CASE("a ring that the driver broke asks for a reset, once, and the reset helps",
          "[worker][hostile]") {
  FakeVhost vhost;
  with(vhost, [&] {
    DeviceRig rig(make_vsock());
    REQUIRE(rig.start());
    FakeVhost::signal(vhost.rings[1].error);
    rig.run();
    CHECK_FALSE(rig.running());
    CHECK(rig.config_interrupts() == 1);
    CHECK_FALSE(vhost.rings[1].running);
    REQUIRE(rig.start());
    CHECK(vhost.rings[1].running);
  });
}

TEST_CASE("what the kernel refuses refuses DRIVER_OK, and leaves nothing behind", "[worker]") {
  const bool net = GENERATE(false, true);
  FakeVhost vhost;
  with(vhost, [&] {
    const auto device = net ? std::shared_ptr<virtio_device::VirtioDevice>(make_net())
                            : std::shared_ptr<virtio_device::VirtioDevice>(make_vsock());
    DeviceRig rig(device);
    std::vector<unsigned long> requests{
        VHOST_SET_FEATURES,   VHOST_SET_MEM_TABLE,  VHOST_SET_VRING_NUM,  VHOST_SET_VRING_BASE,
        VHOST_SET_VRING_ADDR, VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_SET_VRING_ERR};
    if (net) requests.push_back(VHOST_NET_SET_BACKEND);
    for (const unsigned long request : requests) {
      CAPTURE(request);
      vhost.refused = {{request, EFAULT}};
      CHECK_FALSE(rig.start());
      CHECK((rig.core().status() & virtio_device::kNeedsReset) != 0);
      vhost.refused.clear();
      rig.reset();
      REQUIRE(rig.start());
      rig.reset();
      CHECK(vhost.is_idle());
    }
  });
}

TEST_CASE("features of queues are those of the kernel", "[features]") {
  FakeVhost vhost;
  with(vhost, [&] {
    const std::uint64_t packed = virtio_queue::kFeaturePacked;
    CHECK((make_vsock()->queue_features() & packed) == 0);
    CHECK((make_net()->queue_features() & packed) == 0);
    CHECK((make_net()->features() & kMrgRxbuf) != 0);
    CHECK((make_net()->queue_features() & virtio_queue::kFeatureEventIdx) != 0);
    CHECK_FALSE(DeviceRig(make_vsock(), {.packed = true}).start());
    vhost.features |= packed;
    CHECK((make_vsock()->queue_features() & packed) != 0);
    CHECK(DeviceRig(make_vsock(), {.packed = true}).start());
    vhost.features = kVersion1;
    CHECK((make_net()->queue_features() & virtio_queue::kFeatureEventIdx) == 0);
    CHECK((make_net()->queue_features() & virtio_queue::kFeatureIndirect) == 0);
    CHECK((make_net()->features() & kMrgRxbuf) == 0);
    vhost.features = 0;
    CHECK(KernelVsock::create({.cid = 3, .path = kAnyFile}).error().is_os(ENOTSUP));
    CHECK(KernelNet::open(kAnyFile).error().is_os(ENOTSUP));
  });
}

TEST_CASE("the kernel hears of no feature that is not its own", "[features]") {
  const std::uint64_t all = ~std::uint64_t{0};
  CHECK(kernel_features(all, kVersion1 | kMrgRxbuf) == (kVersion1 | kMrgRxbuf));
  CHECK(kernel_features(kVersion1, all) == kVersion1);
  CHECK(kernel_features(all, std::uint64_t{1} << 33 | 1u << 27 | 1u << 26) == 0);
  FakeVhost vhost;
  with(vhost, [&] {
    vhost.features |= std::uint64_t{1} << 33 | 1u << 27;  // ACCESS_PLATFORM, packets without header
    DeviceRig rig(make_net(), {.features = kMrgRxbuf | 0x3 | 1u << 5});
    REQUIRE(rig.start());
    CHECK(vhost.set_features == (kVersion1 | kMrgRxbuf));
  });
}

TEST_CASE("memory that is tracked is refused, as the kernel's writes would not be seen",
          "[worker]") {
  FakeVhost vhost;
  with(vhost, [&] {
    DeviceRig rig(make_vsock(), {.dirty_tracking = true});
    CHECK_FALSE(rig.start());
    CHECK_FALSE(vhost.rings[0].running);
  });
}

TEST_CASE("a queue of a pair is reset while the other one runs", "[net]") {
  FakeVhost vhost;
  with(vhost, [&] {
    DeviceRig rig(make_net(), {.features = virtio_queue::kFeatureRingReset});
    REQUIRE(rig.start());
    CHECK((vhost.rings[0].running && vhost.rings[1].running));
    rig.core().reset_queue(1);
    CHECK(vhost.rings[0].running);
    CHECK_FALSE(vhost.rings[1].running);
    virtio_queue::QueueConfig* const queue = rig.core().editable_queue(1);
    REQUIRE(queue != nullptr);
    REQUIRE(queue->set_size(8));
    REQUIRE(queue->set_descriptors(rig.heap().take(0x1000)));
    REQUIRE(queue->set_driver(rig.heap().take(0x1000)));
    REQUIRE(queue->set_device(rig.heap().take(0x1000)));
    rig.core().enable_queue(1);
    CHECK(vhost.rings[1].running);
    CHECK(vhost.rings[1].size == 8);
    CHECK(rig.running());
    rig.reset();
    CHECK(vhost.is_idle());
  });
}

TEST_CASE("the control queue stays with the device", "[net]") {
  FakeVhost vhost;
  with(vhost, [&] {
    const std::uint64_t control = bit(virtio_net::NetFeature::kCtrlVq) |
                                  bit(virtio_net::NetFeature::kCtrlMacAddr) |
                                  bit(virtio_net::NetFeature::kMac);
    DeviceRig rig(make_net(), {.features = control});
    REQUIRE(rig.start());
    using virtio_device::testing::Bytes;
    const auto bytes = [](std::initializer_list<int> all) {
      Bytes got;
      for (const int value : all) got.push_back(static_cast<std::byte>(value));
      return got;
    };
    const auto answer =
        rig.exchange(2, {.readable = {bytes({1, 1, 2, 9, 9, 9, 9, 9})}, .writable = {1}});
    REQUIRE(answer);
    CHECK(answer->at<std::uint8_t>(0) == 0);
    (void)rig.core().config_generation();
    CHECK(rig.config<std::uint8_t>(1) == 9);
  });
}

TEST_CASE("engines are as many as ports, and have no limits", "[net]") {
  FakeVhost vhost;
  with(vhost, [&] {
    const auto create = [](std::size_t ports, virtio_net::NetOptions options) {
      std::vector<NetPort> all;
      for (std::size_t i = 0; i < ports; ++i) {
        all.push_back(*NetPort::adopt_socket(socket_pair(SOCK_SEQPACKET).first, true));
      }
      std::vector<std::unique_ptr<virtio_net::PacketEngine>> engines;
      engines.push_back(*KernelNet::open(kAnyFile));
      return Net::create(options, std::move(all), std::move(engines)).has_value();
    };
    CHECK(create(1, {}));
    CHECK_FALSE(create(2, {}));
    const auto limit = std::make_shared<rate_limiter::RateLimiter>(rate_limiter::RateLimits{});
    CHECK_FALSE(create(1, {.receive_limit = limit}));
    CHECK_FALSE(create(1, {.transmit_limit = limit}));
  });
}

TEST_CASE("after a reset the guest has its CID again, or tries to get it", "[vsock]") {
  FakeVhost vhost;
  with(vhost, [&] {
    DeviceRig rig(make_vsock());
    REQUIRE(rig.start());
    vhost.cid = 0;
    rig.reset();
    CHECK(vhost.cid == 3);
    REQUIRE(rig.start());
    vhost.refused = {{VHOST_VSOCK_SET_GUEST_CID, EADDRINUSE}};
    rig.reset();
    CHECK_FALSE(rig.start());  // somebody else has it
    vhost.refused.clear();
    CHECK(rig.start());
  });
}

TEST_CASE("what opens the socket device runs where its owner says, each time", "[vsock]") {
  FakeVhost vhost;
  with(vhost, [&] {
    int opened = 0;
    bool opening = false;
    const auto opener = [&](const std::function<void()>& open) {
      ++opened;
      opening = true;
      const std::size_t before = vhost.requests.size();
      open();
      CHECK(vhost.requests.size() > before);  // it was opened here, and nowhere else
      opening = false;
    };
    auto vsock = KernelVsock::create({.cid = 3, .path = kAnyFile, .opener = opener});
    REQUIRE(vsock);
    CHECK(opened == 1);
    CHECK(vhost.cid == 3);
    DeviceRig rig(*vsock);
    REQUIRE(rig.start());
    CHECK(opened == 1);
    rig.reset();
    CHECK(opened == 2);
    REQUIRE(rig.start());
    CHECK(opened == 2);
    vhost.refused = {{VHOST_VSOCK_SET_GUEST_CID, EADDRINUSE}};
    rig.reset();
    CHECK(opened == 3);
    CHECK_FALSE(rig.start());
    const int tried = opened;
    CHECK(tried > 3);  // what the reset could not do is tried again
    vhost.refused.clear();
    REQUIRE(rig.start());
    CHECK(opened > tried);
    CHECK_FALSE(opening);
  });
  int opened = 0;
  const auto vsock = KernelVsock::create(
      {.cid = 3, .path = "/nowhere", .opener = [&](const std::function<void()>& open) {
         ++opened;
         open();
       }});
  CHECK(vsock.error().is_os(ENOENT));
  CHECK(opened == 1);
}

TEST_CASE("a socket device whose driver has one queue only does not run", "[vsock][hostile]") {
  FakeVhost vhost;
  with(vhost, [&] {
    const auto vsock = make_vsock();
    DeviceRig rig(vsock);
    REQUIRE(rig.start());
    rig.reset();
    auto& core = rig.core();
    core.set_status(1);
    core.set_status(3);
    core.set_driver_features(1, 1);
    core.set_status(11);
    virtio_queue::QueueConfig* const queue = core.editable_queue(1);
    REQUIRE(queue != nullptr);
    REQUIRE(queue->set_descriptors(rig.heap().take(0x1000)));
    REQUIRE(queue->set_driver(rig.heap().take(0x1000)));
    REQUIRE(queue->set_device(rig.heap().take(0x1000)));
    core.enable_queue(1);
    core.set_status(15);
    CHECK(core.status() == 15);
    CHECK_FALSE(vhost.rings[1].running);
  });
}
