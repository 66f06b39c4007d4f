// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// vhost-vsock of this kernel, with a socket of this host that connects to the guest.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
// clang-format off
#include <linux/vm_sockets.h>  // older ones need the socket's header before
// clang-format on

#include <catch2/catch.hpp>
#include <cerrno>

#include "kernel_rig.h"
#include "vmm/base/endian.h"
#include "vmm/vhost/vsock.h"

using namespace vmm;
using namespace vmm::vhost;

namespace {

// Of this process and the next number: the same test may run twice at a time.
const std::uint64_t kCid = 0x1000'0000 + 2 * static_cast<std::uint64_t>(::getpid());
constexpr std::uint32_t kHeaderBytes = 44;
constexpr std::uint16_t kRequest = 1;  // virtio 1.3, 5.10.6
constexpr std::uint16_t kResponse = 2;

bool have_vhost_vsock() {
  static const bool have = ::access(Vsock::kPath, R_OK | W_OK) == 0;
  if (!have) WARN("skipped: no /dev/vhost-vsock (these tests run in the lab)");
  return have;
}

// A socket that is about to connect to the guest's port.
UniqueFd connect_to(std::uint32_t port) {
  UniqueFd fd(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  REQUIRE(fd);
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = static_cast<unsigned>(kCid);
  address.svm_port = port;
  REQUIRE(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0);
  REQUIRE(errno == EINPROGRESS);
  return fd;
}

struct Header {
  std::uint64_t source_cid, destination_cid;
  std::uint32_t source_port, destination_port, length;
  std::uint16_t type, operation;
};

Header parse(const std::vector<std::byte>& bytes) {
  return {.source_cid = load_le<std::uint64_t>(bytes.data()),
          .destination_cid = load_le<std::uint64_t>(bytes.data() + 8),
          .source_port = load_le<std::uint32_t>(bytes.data() + 16),
          .destination_port = load_le<std::uint32_t>(bytes.data() + 20),
          .length = load_le<std::uint32_t>(bytes.data() + 24),
          .type = load_le<std::uint16_t>(bytes.data() + 28),
          .operation = load_le<std::uint16_t>(bytes.data() + 30)};
}

// The guest accepts: the same packet, the other way round.
std::vector<std::byte> response_to(std::vector<std::byte> request) {
  const Header header = parse(request);
  store_le(request.data(), header.destination_cid);
  store_le(request.data() + 8, header.source_cid);
  store_le(request.data() + 16, header.destination_port);
  store_le(request.data() + 20, header.source_port);
  store_le(request.data() + 30, kResponse);
  store_le(request.data() + 36, std::uint32_t{65536});  // buf_alloc
  store_le(request.data() + 40, std::uint32_t{0});      // fwd_cnt
  return request;
}

bool connects(const UniqueFd& socket) {
  pollfd event{.fd = socket.get(), .events = POLLOUT, .revents = 0};
  int error = -1;
  socklen_t bytes = sizeof(error);
  return ::poll(&event, 1, 60'000) == 1 &&
         ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) == 0 && error == 0;
}

// A connection of the host is accepted by the guest. When it ends, the guest is told.
UniqueFd connection(KernelRig& rig, std::uint32_t port) {
  constexpr std::uint64_t kRoom = KernelRig::kBuffers + 0x8000;
  rig.receive.offer(kRoom, 4096, true);
  UniqueFd socket = connect_to(port);
  const auto used = rig.receive.wait();
  REQUIRE(used);
  CHECK(used->written == kHeaderBytes);
  const auto request = rig.get(kRoom, kHeaderBytes);
  const Header header = parse(request);
  CHECK(header.source_cid == VMADDR_CID_HOST);
  CHECK(header.destination_cid == kCid);
  CHECK(header.destination_port == port);
  CHECK(header.operation == kRequest);
  rig.put(KernelRig::kBuffers, response_to(request));
  rig.transmit.offer(KernelRig::kBuffers, kHeaderBytes, false);
  CHECK(rig.transmit.wait());
  CHECK(connects(socket));
  return socket;
}

void set_up_rings(const KernelRig& rig, const Vsock& vsock) {
  rig.receive.set_up(vsock, Vsock::kReceiveRing, rig.memory.view());
  rig.transmit.set_up(vsock, Vsock::kTransmitRing, rig.memory.view());
}

}  // namespace

TEST_CASE("vhost-vsock follows the rules of all devices", "[vsock]") {
  if (!have_vhost_vsock()) return;
  const auto vsock = Vsock::open();
  REQUIRE(vsock);
  check_common_rules(*vsock);
}

TEST_CASE("a guest's CID is one that nobody has", "[vsock]") {
  if (!have_vhost_vsock()) return;
  const auto one = Vsock::open();
  const auto other = Vsock::open();
  REQUIRE((one && other));
  for (const std::uint64_t cid : {0ull, 1ull, 2ull, 0xffff'ffffull, 0x1'0000'0003ull}) {
    CAPTURE(cid);
    CHECK(one->set_guest_cid(cid).error().is_os(EINVAL));
  }
  REQUIRE(one->set_guest_cid(kCid));
  CHECK(other->set_guest_cid(kCid).error().is_os(EADDRINUSE));
  CHECK(other->set_guest_cid(kCid + 1));
}

TEST_CASE("vhost-vsock connects a socket of the host with the guest", "[vsock]") {
  if (!have_vhost_vsock()) return;
  KernelRig rig;
  const auto vsock = Vsock::open();
  REQUIRE(vsock);
  REQUIRE(vsock->set_guest_cid(kCid));
  rig.claim(*vsock);
  set_up_rings(rig, *vsock);
  REQUIRE(vsock->set_running(true));
  const UniqueFd first = connection(rig, 1000);
  CHECK(vsock->set_ring_size({.ring = 0, .value = 16}).error().is_os(EBUSY));

  // Stopped, it says where it was; there it goes on.
  REQUIRE(vsock->set_running(false));
  const auto receive = vsock->ring_base(Vsock::kReceiveRing);
  const auto transmit = vsock->ring_base(Vsock::kTransmitRing);
  CHECK(*receive == 1);
  CHECK(*transmit >= 1);
  rig.receive.set_up(*vsock, Vsock::kReceiveRing, rig.memory.view(), false, *receive);
  rig.transmit.set_up(*vsock, Vsock::kTransmitRing, rig.memory.view(), false, *transmit);
  REQUIRE(vsock->set_running(true));
  const UniqueFd second = connection(rig, 1001);
}

TEST_CASE("vhost-vsock does not start on rings that are nowhere", "[vsock]") {
  if (!have_vhost_vsock()) return;
  const KernelRig rig;
  const auto vsock = Vsock::open();
  REQUIRE(vsock);
  REQUIRE(vsock->set_guest_cid(kCid));
  rig.claim(*vsock);
  set_up_rings(rig, *vsock);
  REQUIRE(vsock->set_ring_addresses(0, {.descriptors = 16, .driver = 16, .device = 16}));
  CHECK(vsock->set_running(true).error().is_os(EFAULT));
}
