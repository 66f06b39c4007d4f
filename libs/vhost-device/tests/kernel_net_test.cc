// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The network device over this kernel's vhost-net, with taps in a network namespace of this
// program's own.

#include "vmm/vhost_device/kernel_net.h"

#include <sched.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_net/tap.h"
#include "wire.h"

using namespace vmm;
using namespace vmm::vhost_device;
using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_net::Net;
using virtio_net::NetFeature;

namespace {

constexpr std::size_t kHeader = virtio_net::kNetHeaderBytes;

bool have_vhost_net() {
  static const bool have =
      ::access(vhost::Net::kPath, R_OK | W_OK) == 0 && ::unshare(CLONE_NEWNET) == 0;
  if (!have) WARN("skipped: no /dev/vhost-net, or not root (these tests run in the lab)");
  return have;
}

std::shared_ptr<Net> make_net(const std::string& name, std::uint16_t pairs = 1) {
  auto tap = virtio_net::open_tap({.name = name, .queues = pairs});
  REQUIRE(tap);
  std::vector<std::unique_ptr<virtio_net::PacketEngine>> engines;
  for (std::uint16_t i = 0; i < pairs; ++i) {
    auto engine = KernelNet::open();
    REQUIRE(engine);
    engines.push_back(std::move(*engine));
  }
  auto net = Net::create({}, std::move(tap->queues), std::move(engines));
  REQUIRE(net);
  return *net;
}

Bytes frame(int seed, std::size_t bytes = 900) {
  Bytes all(bytes, static_cast<std::byte>(seed));
  std::fill_n(all.begin(), 6, std::byte{0xff});
  all[6] = std::byte{2};
  all[12] = std::byte{0x88};
  all[13] = std::byte{0xb5};
  return all;
}

bool transmits(DeviceRig& rig, const Wire& wire, const Bytes& packet, std::uint16_t queue = 1) {
  if (!rig.exchange(queue, {.readable = {Bytes(kHeader), packet}, .writable = {}})) return false;
  return rig.run_until([&] { return wire.has(packet); });
}

bool receives(DeviceRig& rig, const Wire& wire, const Bytes& packet, std::uint16_t queue = 0) {
  for (int i = 0; i < 20; ++i) {  // the kernel has packets of its own to send
    REQUIRE(rig.send(queue, {.readable = {}, .writable = {2048}}));
    if (i == 0) wire.send(packet);
    const auto answer = rig.wait(queue);
    if (!answer) return false;
    if (answer->written == kHeader + packet.size() &&
        std::equal(packet.begin(), packet.end(), answer->bytes.begin() + kHeader)) {
      return true;
    }
  }
  return false;
}

}  // namespace

TEST_CASE("the kernel moves packets both ways, through resets", "[net]") {
  if (!have_vhost_net()) return;
  const bool event_idx = GENERATE(false, true);
  const auto net = make_net("both");
  const Wire wire("both");
  DeviceRig rig(net, {.event_idx = event_idx,
                      .features = bit(NetFeature::kMrgRxbuf) | virtio_queue::kFeatureIndirect});
  for (int life = 1; life < 4; ++life) {
    REQUIRE(rig.start());
    for (int i = 1; i < 8; ++i) {
      CHECK(transmits(rig, wire, frame(20 * life + i)));
      CHECK(receives(rig, wire, frame(20 * life + i + 10)));
    }
    CHECK(rig.running());
    rig.reset();
  }
}

TEST_CASE("between a reset and the next driver nothing is written to memory", "[net][hostile]") {
  if (!have_vhost_net()) return;
  const auto net = make_net("quiet");
  const Wire wire("quiet");
  DeviceRig rig(net);
  REQUIRE(rig.start());
  rig.core().set_status(0);
  REQUIRE(rig.send(0, {.readable = {}, .writable = {2048}}));  // the rings are there still
  for (int i = 0; i < 20; ++i) wire.send(frame(i));
  CHECK_FALSE(
      rig.run_until([&] { return rig.receive(0).has_value(); }, std::chrono::milliseconds(300)));
}

TEST_CASE("one queue is reset and runs again while the other goes on", "[net]") {
  if (!have_vhost_net()) return;
  const auto net = make_net("ring");
  const Wire wire("ring");
  DeviceRig rig(net, {.features = virtio_queue::kFeatureRingReset});
  REQUIRE(rig.start());
  CHECK(transmits(rig, wire, frame(1)));
  rig.core().reset_queue(1);
  CHECK(receives(rig, wire, frame(2)));
  virtio_queue::QueueConfig& queue = *rig.core().editable_queue(1);
  const virtio_queue::RingAddresses rings{.descriptors = rig.heap().take(0x1000),
                                          .driver = rig.heap().take(0x1000),
                                          .device = rig.heap().take(0x1000)};
  REQUIRE((queue.set_size(16) && queue.set_descriptors(rings.descriptors) &&
           queue.set_driver(rings.driver) && queue.set_device(rings.device)));
  rig.driver(1) = *virtio_queue::driver::Driver::create({.rings = rings, .size = 16}, rig.memory());
  rig.core().enable_queue(1);
  CHECK(transmits(rig, wire, frame(3)));
}

TEST_CASE("a driver that breaks its ring is asked to reset the device, which helps",
          "[net][hostile]") {
  if (!have_vhost_net()) return;
  const auto net = make_net("broken");
  const Wire wire("broken");
  DeviceRig rig(net);
  REQUIRE(rig.start());
  const virtio_device::testing::Buffer outside{rig.heap().end(), 100, false};
  REQUIRE(rig.send_raw(1, std::span(&outside, 1)));
  CHECK(rig.run_until([&] { return !rig.running(); }));
  REQUIRE(rig.start());
  CHECK(transmits(rig, wire, frame(4)));
}

TEST_CASE("several pairs have an engine each", "[net]") {
  if (!have_vhost_net()) return;
  const auto net = make_net("many", 2);
  const Wire wire("many");
  DeviceRig rig(net, {.features = bit(NetFeature::kMq) | bit(NetFeature::kCtrlVq)});
  REQUIRE(rig.start());
  const Bytes two{std::byte{4}, std::byte{0}, std::byte{2}, std::byte{0}};
  const auto answer = rig.exchange(4, {.readable = {two}, .writable = {1}});
  REQUIRE(answer);
  CHECK(answer->at<std::uint8_t>(0) == 0);
  CHECK(transmits(rig, wire, frame(5), 1));
  CHECK(transmits(rig, wire, frame(6), 3));
}
