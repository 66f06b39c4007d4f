// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The socket device over this kernel's vhost-vsock, with sockets of this host.

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
// clang-format off
#include <linux/vm_sockets.h>  // older ones need the socket's header before
// clang-format on

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "vmm/base/endian.h"
#include "vmm/vhost_device/kernel_vsock.h"
#include "vmm/virtio_device/testing/device_rig.h"

using namespace vmm;
using namespace vmm::vhost_device;
using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;

namespace {

// Of this process: the same test may run twice at a time.
const std::uint64_t kCid = 0x2000'0000 + static_cast<std::uint64_t>(::getpid());
constexpr std::size_t kHeader = 44;
constexpr std::uint16_t kResponse = 2;  // virtio 1.3, 5.10.6
constexpr std::uint16_t kReset = 3;

bool have_vhost_vsock() {
  static const bool have = ::access(vhost::Vsock::kPath, R_OK | W_OK) == 0;
  if (!have) WARN("skipped: no /dev/vhost-vsock (these tests run in the lab)");
  return have;
}

UniqueFd connect_to_guest(std::uint32_t port) {
  UniqueFd fd(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = static_cast<unsigned>(kCid);
  address.svm_port = port;
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0);
  REQUIRE(errno == EINPROGRESS);
  return fd;
}

// The guest accepts: the same packet, the other way round.
Bytes response_to(Bytes packet) {
  const auto swap = [&](std::size_t a, std::size_t b, std::size_t bytes) {
    std::swap_ranges(packet.begin() + static_cast<std::ptrdiff_t>(a),
                     packet.begin() + static_cast<std::ptrdiff_t>(a + bytes),
                     packet.begin() + static_cast<std::ptrdiff_t>(b));
  };
  swap(0, 8, 8);
  swap(16, 20, 4);
  store_le(packet.data() + 30, kResponse);
  store_le(packet.data() + 36, std::uint32_t{65536});  // room
  store_le(packet.data() + 40, std::uint32_t{0});
  return packet;
}

short events(const UniqueFd& socket, short wanted) {
  pollfd event{.fd = socket.get(), .events = wanted, .revents = 0};
  return ::poll(&event, 1, 60'000) == 1 ? event.revents : short{0};
}

// A packet to the guest. When a socket of an earlier life is closed, the kernel sends the guest's
// next life a reset for it, which is passed over.
Bytes next_packet(DeviceRig& rig, std::uint32_t port) {
  for (int i = 0; i < 4; ++i) {
    const auto packet = rig.wait(0);
    REQUIRE(packet);
    REQUIRE(packet->written >= kHeader);
    if (load_le<std::uint32_t>(packet->bytes.data() + 20) == port) return packet->bytes;
    CHECK(load_le<std::uint16_t>(packet->bytes.data() + 30) == kReset);
    REQUIRE(rig.send(0, {.readable = {}, .writable = {4096}}));
  }
  FAIL("no packet for port " << port);
  return {};
}

UniqueFd connection(DeviceRig& rig, std::uint32_t port) {
  REQUIRE(rig.send(0, {.readable = {}, .writable = {4096}}));
  UniqueFd socket = connect_to_guest(port);
  Bytes packet = next_packet(rig, port);
  packet.resize(kHeader);
  CHECK(load_le<std::uint64_t>(packet.data() + 8) == kCid);
  REQUIRE(rig.exchange(1, {.readable = {response_to(packet)}, .writable = {}}));
  CHECK((events(socket, POLLOUT) & (POLLOUT | POLLERR)) == POLLOUT);
  return socket;
}

}  // namespace

TEST_CASE("sockets of the host connect to the guest, through resets", "[vsock]") {
  if (!have_vhost_vsock()) return;
  const bool event_idx = GENERATE(false, true);
  auto vsock = KernelVsock::create({.cid = kCid});
  REQUIRE(vsock);
  CHECK(((*vsock)->queue_features() & virtio_queue::kFeatureEventIdx) != 0);
  DeviceRig rig(*vsock, {.event_idx = event_idx});
  CHECK(rig.config<std::uint64_t>(0) == kCid);
  for (std::uint32_t life = 0; life < 3; ++life) {
    REQUIRE(rig.start());
    const UniqueFd socket = connection(rig, 1000 + life);
    const char word[] = "hello";
    REQUIRE(rig.send(0, {.readable = {}, .writable = {4096}}));
    REQUIRE(::send(socket.get(), word, sizeof(word), MSG_NOSIGNAL) == sizeof(word));
    const Bytes data = next_packet(rig, 1000 + life);
    CHECK(std::memcmp(data.data() + kHeader, word, sizeof(word)) == 0);
    rig.reset();
    CHECK((events(socket, POLLIN) & (POLLIN | POLLHUP | POLLERR)) != 0);  // it has ended
  }
}

TEST_CASE("a CID is one guest's", "[vsock]") {
  if (!have_vhost_vsock()) return;
  const auto one = KernelVsock::create({.cid = kCid});
  REQUIRE(one);
  CHECK(KernelVsock::create({.cid = kCid}).error().is_os(EADDRINUSE));
  CHECK(KernelVsock::create({.cid = 2}).error().is_os(EINVAL));
}
