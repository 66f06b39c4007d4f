// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-net of this kernel, with a tap in a network namespace of this program's own.

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "kernel_rig.h"
#include "vmm/vhost/net.h"

using namespace vmm;
using namespace vmm::vhost;

namespace {

using Bytes = std::vector<std::byte>;

constexpr std::size_t kHeaderBytes = 12;

bool have_vhost_net() {
  static const bool have = ::access(Net::kPath, R_OK | W_OK) == 0 && ::unshare(CLONE_NEWNET) == 0;
  if (!have) WARN("skipped: no /dev/vhost-net, or not root (these tests run in the lab)");
  return have;
}

/// A tap with the header of virtio 1, and the other end of its wire.
class TapWire {
 public:
  TapWire() : tap_(::open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK)) {
    ifreq request{};
    std::strcpy(request.ifr_name, "vhost-test");
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    REQUIRE(::ioctl(tap_.get(), TUNSETIFF, &request) == 0);
    int bytes = kHeaderBytes;
    REQUIRE(::ioctl(tap_.get(), TUNSETVNETHDRSZ, &bytes) == 0);
    wire_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL)));
    REQUIRE(::ioctl(wire_.get(), SIOCGIFFLAGS, &request) == 0);
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    REQUIRE(::ioctl(wire_.get(), SIOCSIFFLAGS, &request) == 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex("vhost-test"));
    REQUIRE(::bind(wire_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    const timeval patience{.tv_sec = 60, .tv_usec = 0};
    REQUIRE(::setsockopt(wire_.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0);
  }
  [[nodiscard]] int tap() const { return tap_.get(); }
  void send(const Bytes& frame) const {
    REQUIRE(::send(wire_.get(), frame.data(), frame.size(), 0) == std::ssize(frame));
  }
  /// Whether the frame comes by; those of the kernel itself are passed over.
  [[nodiscard]] bool gets(const Bytes& frame) const {
    Bytes got(2000);
    for (int i = 0; i < 100; ++i) {
      const ssize_t bytes = ::recv(wire_.get(), got.data(), got.size(), 0);
      if (bytes < 0) return false;
      if (bytes == std::ssize(frame) && std::equal(frame.begin(), frame.end(), got.begin())) {
        return true;
      }
    }
    return false;
  }

 private:
  UniqueFd tap_;
  UniqueFd wire_;
};

// An Ethernet frame of a protocol that nobody knows.
Bytes frame(std::uint8_t seed) {
  Bytes all(300, std::byte{seed});
  for (std::size_t i = 0; i < 6; ++i) all[i] = std::byte{0xff};
  all[6] = std::byte{2};
  all[12] = std::byte{0x88};
  all[13] = std::byte{0xb5};
  return all;
}

Bytes with_header(const Bytes& frame) {
  Bytes all(kHeaderBytes);
  all.insert(all.end(), frame.begin(), frame.end());
  return all;
}

void send_frame(KernelRig& rig, const Bytes& frame) {
  const Bytes packet = with_header(frame);
  rig.put(KernelRig::kBuffers, packet);
  rig.transmit.offer(KernelRig::kBuffers, static_cast<std::uint32_t>(packet.size()), false);
}

// Whether the driver gets the frame, in a buffer that it offers now.
bool driver_gets(KernelRig& rig, const TapWire& wire, const Bytes& frame) {
  constexpr std::uint64_t kRoom = KernelRig::kBuffers + 0x8000;
  for (int i = 0; i < 20; ++i) {  // the kernel has packets of its own to send
    rig.receive.offer(kRoom, 2000, true);
    if (i == 0) wire.send(frame);
    const auto used = rig.receive.wait();
    if (!used) return false;
    if (used->written == kHeaderBytes + frame.size() &&
        rig.get(kRoom + kHeaderBytes, frame.size()) == frame) {
      return true;
    }
  }
  return false;
}

Net started(const KernelRig& rig, const TapWire& wire) {
  auto net = Net::open();
  REQUIRE(net);
  rig.claim(*net);
  rig.receive.set_up(*net, Net::kReceiveRing, rig.memory.view());
  rig.transmit.set_up(*net, Net::kTransmitRing, rig.memory.view());
  REQUIRE(net->set_backend(Net::kReceiveRing, wire.tap()));
  REQUIRE(net->set_backend(Net::kTransmitRing, wire.tap()));
  return std::move(*net);
}

}  // namespace

TEST_CASE("vhost-net follows the rules of all devices", "[net]") {
  if (!have_vhost_net()) return;
  const auto net = Net::open();
  REQUIRE(net);
  check_common_rules(*net);
  CHECK(net->reset_owner());
  CHECK(net->set_owner());  // after the reset it may have one again
}

TEST_CASE("vhost-net moves packets both ways", "[net]") {
  if (!have_vhost_net()) return;
  KernelRig rig;
  const TapWire wire;
  const Net net = started(rig, wire);
  for (std::uint8_t seed = 1; seed < 20; ++seed) {
    send_frame(rig, frame(seed));
    CHECK(wire.gets(frame(seed)));
    REQUIRE(rig.transmit.wait());
    CHECK(driver_gets(rig, wire, frame(static_cast<std::uint8_t>(seed + 100))));
  }
}

TEST_CASE("a ring that stops says where it will go on, and does", "[net]") {
  if (!have_vhost_net()) return;
  KernelRig rig;
  const TapWire wire;
  const Net net = started(rig, wire);
  for (std::uint8_t seed = 1; seed < 4; ++seed) {
    send_frame(rig, frame(seed));
    REQUIRE(rig.transmit.wait());
  }
  REQUIRE(net.set_backend(Net::kTransmitRing, -1));
  CHECK(*net.ring_base(Net::kTransmitRing) == 3);
  CHECK(net.set_ring_size({.ring = Net::kTransmitRing, .value = 16}));  // it may change now

  send_frame(rig, frame(9));
  CHECK_FALSE(rig.transmit.wait(200));  // nobody serves it
  rig.transmit.set_up(net, Net::kTransmitRing, rig.memory.view(), false, 3);
  REQUIRE(net.set_backend(Net::kTransmitRing, wire.tap()));
  CHECK(rig.transmit.wait());
  CHECK(wire.gets(frame(9)));
  CHECK(*net.ring_base(Net::kTransmitRing) == 4);
}

TEST_CASE("what runs cannot be changed", "[net]") {
  if (!have_vhost_net()) return;
  KernelRig rig;
  const TapWire wire;
  const Net net = started(rig, wire);
  CHECK(net.set_ring_size({.ring = 0, .value = 16}).error().is_os(EBUSY));
  CHECK(net.set_ring_base({.ring = 0, .value = 0}).error().is_os(EBUSY));
}

TEST_CASE("the kernel reaches nothing but the table's memory", "[net][hostile]") {
  if (!have_vhost_net()) return;
  KernelRig rig;
  const TapWire wire;
  const Net net = started(rig, wire);
  rig.transmit.offer(KernelRig::kBase + 0x20'0000, 100, false);  // behind memory
  CHECK((rig.transmit.breaks() || rig.transmit.wait(1000)));
  const vm_memory::RegionSpan elsewhere{GuestAddress(0), rig.memory.view().regions()[0].host};
  CHECK(host_addresses({.shape = rig.transmit.shape()}, vm_memory::MemoryView(elsewhere)).error() ==
        VhostError::kRingNotMapped);
}

TEST_CASE("a memory table may have more regions than the kernel takes", "[net]") {
  if (!have_vhost_net()) return;
  const auto net = Net::open();
  REQUIRE(net);
  REQUIRE(net->set_owner());
  std::vector<std::byte> ram(255 * 4096);
  std::vector<vm_memory::RegionSpan> regions;
  for (std::uint64_t i = 0; i < 255; ++i) {
    regions.push_back({GuestAddress(0x2000 * i), std::span(ram).subspan(4096 * i, 4096)});
  }
  const auto set = net->set_memory(*MemoryTable::create(regions));
  CHECK((set || set.error().is_os(E2BIG)));
  CHECK(net->set_memory(*MemoryTable::create(std::span(regions).first(64))));
}

TEST_CASE("writes to guest memory are logged", "[net][log]") {
  if (!have_vhost_net()) return;
  KernelRig rig;
  const TapWire wire;
  const auto log = DirtyLog::create(rig.memory.view());  // outlives the device
  REQUIRE(log);
  const auto net = Net::open();
  REQUIRE(net);
  REQUIRE(net->set_owner());
  REQUIRE(net->set_memory(*MemoryTable::create(rig.memory.view().regions())));
  REQUIRE(net->set_log(*log));
  REQUIRE(net->set_features(kVersion1 | kFeatureLogAll));
  rig.receive.set_up(*net, Net::kReceiveRing, rig.memory.view(), true);
  REQUIRE(net->set_backend(Net::kReceiveRing, wire.tap()));
  const auto snapshot = rig.memory.snapshot();
  vm_memory::DirtyBitmap& bitmap = *snapshot->regions()[0]->dirty();
  bitmap.clear_all();
  REQUIRE(driver_gets(rig, wire, frame(7)));
  bitmap.clear_all();  // what the driver itself wrote
  CHECK(log->collect(rig.memory.view()) >= 2);
  CHECK(bitmap.is_dirty(0x1'8000));  // the buffer
  CHECK(bitmap.is_dirty(0x2000));    // the device area
  CHECK_FALSE(bitmap.is_dirty(0x8'0000));
}
