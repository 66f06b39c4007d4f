// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Real taps, in a network namespace of this program's own; that needs root.

#include "vmm/virtio_net/tap.h"

#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>

#include "net_fixture.h"
#include "wire.h"

using namespace vmm;
using namespace vmm::virtio_net;

namespace {

bool may_make_taps() {
  static const bool may = ::unshare(CLONE_NEWNET) == 0 &&
                          UniqueFd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC)).get() >= 0;
  if (!may) WARN("skipped: no /dev/net/tun, or not root");
  return may;
}

ifreq named(const std::string& name) {
  ifreq request{};
  std::copy_n(name.begin(), std::min<std::size_t>(name.size(), IFNAMSIZ - 1), request.ifr_name);
  return request;
}

// What the interface answers to an ioctl.
ifreq ask(const std::string& name, unsigned long what) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = named(name);
  REQUIRE(::ioctl(socket.get(), what, &request) == 0);
  return request;
}

void set_up(const std::string& name, bool up) {
  const UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request = ask(name, SIOCGIFFLAGS);
  request.ifr_flags =
      static_cast<short>(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
  REQUIRE(::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0);
}

// An Ethernet frame of a protocol that nobody knows.
Bytes frame(std::size_t bytes, std::uint8_t seed = 1) {
  Bytes all = pattern(bytes, seed);
  const Bytes addresses{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, seed, 0x88, 0xb5};
  std::copy(addresses.begin(), addresses.end(), all.begin());
  return all;
}

// Whether the driver gets the frame, in one of its buffers at `rooms`.
bool driver_gets(NetRig& rig, const std::vector<GuestAddress>& rooms, const Bytes& wanted) {
  return rig.rig().run_until([&] {
    for (const GuestAddress at : rooms) {
      if (rig.get(GuestAddress(at.raw() + kNetHeaderBytes), wanted.size()) == wanted) return true;
    }
    return false;
  });
}

std::vector<GuestAddress> give_rooms(NetRig& rig, std::uint16_t queue = 0) {
  std::vector<GuestAddress> rooms;
  for (int i = 0; i < 32; ++i) rooms.push_back(rig.give_room(2048, queue));
  return rooms;
}

}  // namespace

TEST_CASE("a new tap has the settings that were asked for", "[tap]") {
  if (!may_make_taps()) return;
  const auto tap = *open_tap({.name = "set%d",
                              .ip = "192.0.2.9",
                              .mask = "255.255.255.128",
                              .mac = MacAddress{2, 3, 4, 5, 6, 7},
                              .mtu = 1300});
  CHECK(tap.name == "set0");
  REQUIRE(tap.queues.size() == 1);
  CHECK((tap.queues[0].known_offloads() & kOffloadTso4) != 0);
  CHECK((::fcntl(tap.queues[0].fd(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK(ask(tap.name, SIOCGIFMTU).ifr_mtu == 1300);
  CHECK((ask(tap.name, SIOCGIFFLAGS).ifr_flags & IFF_UP) != 0);
  const ifreq mac = ask(tap.name, SIOCGIFHWADDR);
  CHECK(std::equal(mac.ifr_hwaddr.sa_data, mac.ifr_hwaddr.sa_data + 6, "\2\3\4\5\6\7"));
  sockaddr_in address{};
  const ifreq ip = ask(tap.name, SIOCGIFADDR);
  std::memcpy(&address, &ip.ifr_addr, sizeof(address));
  CHECK(address.sin_addr.s_addr == *parse_ipv4("192.0.2.9"));
  const ifreq mask = ask(tap.name, SIOCGIFNETMASK);
  std::memcpy(&address, &mask.ifr_netmask, sizeof(address));
  CHECK(address.sin_addr.s_addr == *parse_ipv4("255.255.255.128"));
}

TEST_CASE("taps that cannot be", "[tap]") {
  const auto refused = [](const TapOptions& options) {
    const auto tap = open_tap(options);
    return !tap && tap.error().is_os(EINVAL);
  };
  CHECK(refused({.name = "sixteen-letters-"}));
  CHECK(refused({.name = "a/b"}));
  CHECK(refused({.name = std::string("a\0b", 3)}));
  CHECK(refused({.queues = 0}));
  CHECK(refused({.queues = 257}));
  CHECK_FALSE(parse_ipv4("192.0.2"));
  CHECK_FALSE(parse_ipv4("192.0.2.256"));
  CHECK_FALSE(NetPort::adopt_tap(UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC))));
  if (!may_make_taps()) return;
  CHECK(refused({.ip = "not an address", .mask = "255.0.0.0"}));
  const auto tap = *open_tap({.name = "busy"});
  const auto again = open_tap({.name = "busy"});
  REQUIRE_FALSE(again);
  CHECK(again.error().is_os(EBUSY));
}

TEST_CASE("a tap without the header is refused", "[tap]") {
  if (!may_make_taps()) return;
  UniqueFd fd(::open("/dev/net/tun", O_RDWR | O_CLOEXEC));
  ifreq request = named("plain");
  request.ifr_flags = 0x1002;                             // IFF_TAP | IFF_NO_PI
  REQUIRE(::ioctl(fd.get(), 0x400454ca, &request) == 0);  // TUNSETIFF
  const auto port = NetPort::adopt_tap(std::move(fd));
  REQUIRE_FALSE(port);
  CHECK(port.error().is_os(EINVAL));
}

TEST_CASE("packets go through a tap both ways, whatever was negotiated", "[tap]") {
  if (!may_make_taps()) return;
  using enum NetFeature;
  const std::uint64_t features =
      GENERATE(std::uint64_t{0}, bit(kMrgRxbuf),
               bit(kMrgRxbuf) | bit(kCsum) | bit(kGuestCsum) | bit(kGuestTso4) | bit(kHostTso4) |
                   bit(kGuestTso6) | bit(kHostTso6) | bit(kGuestUfo),
               bit(kGuestCsum) | bit(kGuestEcn) | bit(kGuestUfo));
  auto tap = *open_tap({.name = "both"});
  const Wire wire(tap.name);
  NetRig rig({}, std::move(tap.queues));
  rig.start(features);
  REQUIRE(rig.started);
  const auto rooms = give_rooms(rig);
  for (std::uint8_t i = 1; i < 10; ++i) {
    rig.transmit({}, frame(60 + 100u * i, i));
    CHECK(rig.reap(1));
    CHECK(wire.gets(frame(60 + 100u * i, i)));
    wire.send(frame(70 + 100u * i, i));
    CHECK(driver_gets(rig, rooms, frame(70 + 100u * i, i)));
  }
}

TEST_CASE("while a tap is down, packets are dropped", "[tap]") {
  if (!may_make_taps()) return;
  auto tap = *open_tap({.name = "down"});
  const Wire wire(tap.name);
  NetRig rig({}, std::move(tap.queues));
  rig.start(0);
  const auto rooms = give_rooms(rig);
  set_up("down", false);
  rig.transmit({}, frame(60));
  CHECK(rig.reap(1));
  set_up("down", true);
  rig.transmit({}, frame(61));
  CHECK(wire.gets(frame(61)));
  wire.send(frame(62));
  CHECK(driver_gets(rig, rooms, frame(62)));
}

TEST_CASE("a tap of several queues: the driver says how many are used", "[tap]") {
  if (!may_make_taps()) return;
  auto tap = *open_tap({.name = "many", .queues = 3});
  const Wire wire(tap.name);
  NetRig rig({}, std::move(tap.queues));
  rig.start(bit(NetFeature::kMq) | bit(NetFeature::kCtrlVq));
  rig.transmit({}, frame(60, 1), 3);  // no driver does that before it has said so
  CHECK(rig.reap(3));
  for (const std::uint8_t pairs : Bytes{3, 2, 1, 3}) {
    CHECK(rig.command({4, 0, pairs, 0}, 6) == 0);
    for (std::uint8_t pair = 0; pair < 3; ++pair) {
      const auto queue = static_cast<std::uint16_t>(2 * pair + 1);
      const auto seed = static_cast<std::uint8_t>(10 * pairs + pair);
      rig.transmit({}, frame(80, seed), queue);
      CHECK(rig.reap(queue));
      if (pair < pairs) CHECK(wire.gets(frame(80, seed)));
    }
  }
  // Wherever the kernel puts a packet, the driver gets it.
  std::vector<GuestAddress> rooms;
  for (const std::uint8_t queue : Bytes{0, 2, 4}) {
    const auto more = give_rooms(rig, queue);
    rooms.insert(rooms.end(), more.begin(), more.end());
  }
  for (std::uint8_t i = 1; i < 9; ++i) {
    wire.send(frame(90, i));
    CHECK(driver_gets(rig, rooms, frame(90, i)));
  }
}
