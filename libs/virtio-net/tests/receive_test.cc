// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <netinet/in.h>

#include <catch2/catch.hpp>
#include <map>
#include <memory>
#include <utility>

#include "net_fixture.h"
#include "vmm/virtio_device/testing/hostile_chains.h"
#include "vmm/vm_memory/translation.h"

using namespace vmm;
using namespace vmm::virtio_net;
using Used = virtio_queue::driver::Used;

namespace {

constexpr std::uint64_t kMerge = bit(NetFeature::kMrgRxbuf);
constexpr std::uint64_t kTso = bit(NetFeature::kGuestCsum) | bit(NetFeature::kGuestTso4);

VnetHeader header_at(NetRig& rig, GuestAddress at) {
  VnetHeader header;
  std::memcpy(&header, rig.get(at, sizeof(header)).data(), sizeof(header));
  return header;
}

Bytes packet_at(NetRig& rig, GuestAddress at, std::size_t bytes) {
  const Bytes all = rig.get(at, kNetHeaderBytes + bytes);
  return {all.begin() + kNetHeaderBytes, all.end()};
}

struct NoFaults final : vm_memory::FaultHandler {
  void missing(Iova, std::uint64_t, vm_memory::Access) override {}
  void denied(Iova, std::uint64_t, vm_memory::Access) override {}
};

/// What an IOMMU makes of guest memory: all of it where it is, but for a page.
class PageSwitch {
 public:
  PageSwitch(NetRig& rig, GuestAddress page)
      : heap_(rig.rig().heap()), page_(page.raw()), all_(heap_.memory().snapshot()) {}

  void map() { publish({{GuestHeap::kBase, heap_.end().raw()}}); }
  void unmap() { publish({{GuestHeap::kBase, page_}, {page_ + 4096, heap_.end().raw()}}); }
  Bytes content() const {
    Bytes bytes(4096);
    (void)all_->view().read_bytes(GuestAddress(page_), std::as_writable_bytes(std::span(bytes)));
    return bytes;
  }

 private:
  using GuestHeap = virtio_device::testing::GuestHeap;

  void publish(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& parts) {
    std::vector<vm_memory::RegionSpan> spans;
    vm_memory::Translation translation{
        .physical = all_, .faults = std::make_shared<NoFaults>(), .access = {}};
    for (const auto& [from, to] : parts) {
      const auto host = all_->view().slice(GuestAddress(from), to - from)->unsafe_iovec();
      spans.push_back({GuestAddress(from), {static_cast<std::byte*>(host.base), host.bytes}});
      translation.access.push_back(vm_memory::Access::kReadWrite);
    }
    heap_.memory().replace(
        vm_memory::RegionMap::translated(std::move(spans), std::move(translation)));
  }

  GuestHeap& heap_;
  std::uint64_t page_;
  std::shared_ptr<const vm_memory::RegionMap> all_;
};

/// What came back, by token: how often, and how much was written the last time.
std::map<std::uint16_t, std::pair<int, std::uint32_t>> all_used(NetRig& rig) {
  std::map<std::uint16_t, std::pair<int, std::uint32_t>> used;
  while (const auto one = rig.reap(0)) {
    ++used[one->token].first;
    used[one->token].second = one->written;
  }
  return used;
}

}  // namespace

TEST_CASE("a packet arrives behind its header, over each kind of ring", "[receive]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const std::uint64_t merge = GENERATE(std::uint64_t{0}, kMerge);
  const bool has_header = GENERATE(false, true);
  NetRig rig({.has_header = has_header});
  rig.start(rings | merge);
  REQUIRE(rig.started);
  std::uint64_t bytes = 0;
  for (std::uint8_t i = 0; i < 100; ++i) {  // round the ring
    const Bytes packet = pattern(60 + i, i);
    bytes += packet.size();
    const GuestAddress at = rig.give_room(1600);
    rig.host_send(has_header ? with_header({}, packet) : packet);
    REQUIRE(rig.reap(0) ==
            Used{.token = rig.last_token,
                 .written = static_cast<std::uint32_t>(kNetHeaderBytes + packet.size())});
    CHECK(packet_at(rig, at, packet.size()) == packet);
    CHECK(header_at(rig, at).buffers.get() == 1);
    CHECK(header_at(rig, at).flags == 0);
  }
  CHECK(rig.rig().interrupts(0) > 0);
  CHECK(rig.net->counters().received.packets == 100);
  CHECK(rig.net->counters().received.bytes == bytes);
  CHECK(rig.net->counters().transmitted.packets == 0);
}

TEST_CASE("packets wait at the port for buffers, in order", "[receive]") {
  NetRig rig({});
  rig.start(0);
  for (std::uint8_t i = 0; i < 10; ++i) rig.host_send(pattern(64, i));
  for (std::uint8_t i = 0; i < 10; ++i) {
    const GuestAddress at = rig.give_room(1600);
    REQUIRE(rig.reap(0));
    CHECK(packet_at(rig, at, 64) == pattern(64, i));
  }
}

TEST_CASE("what waits behind an empty datagram is received", "[receive]") {
  NetRig rig({.type = SOCK_DGRAM});
  rig.start(0);
  const GuestAddress at = rig.give_room(1600);
  (void)!::send(rig.host[0].get(), "", 0, MSG_NOSIGNAL);
  rig.host_send(pattern(64));
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 64) == pattern(64));
}

TEST_CASE("what waits behind an error of a datagram socket is received", "[receive]") {
  const auto local = [](UniqueFd& fd, sockaddr_in& at) {
    socklen_t bytes = sizeof(at);
    auto* const address = reinterpret_cast<sockaddr*>(&at);
    fd = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    return ::bind(fd.get(), address, bytes) == 0 && ::getsockname(fd.get(), address, &bytes) == 0;
  };
  const auto join = [](const UniqueFd& fd, sockaddr_in to) {
    return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&to), sizeof(to)) == 0;
  };
  sockaddr_in ours{};
  ours.sin_family = AF_INET;
  ours.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in theirs = ours;
  UniqueFd socket;
  UniqueFd host;
  if (!local(socket, ours) || !local(host, theirs) || !join(socket, theirs)) {
    WARN("no IPv4 here");
    return;
  }
  host.reset();
  (void)!::send(socket.get(), "x", 1, 0);  // nobody is there
  if (!local(host, theirs) || !join(host, ours)) {
    WARN("the port is somebody else's now");
    return;
  }
  std::vector<NetPort> ports;
  ports.push_back(*NetPort::adopt_socket(std::move(socket)));
  NetRig rig({}, std::move(ports));
  rig.host.push_back(std::move(host));
  rig.start(0);
  rig.host_send(pattern(64));
  const GuestAddress at = rig.give_room(1600);  // the first look at the port finds the error
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 64) == pattern(64));
}

TEST_CASE("a packet fills mergeable buffers one after another", "[receive]") {
  NetRig rig({.has_header = true});
  rig.start(kMerge | kTso);
  std::vector<GuestAddress> rooms;
  for (int i = 0; i < 5; ++i) rooms.push_back(rig.give_room(512));
  const Bytes packet = pattern(1500);
  rig.host_send(with_header({}, packet));
  Bytes all;
  for (const std::uint32_t written : {512u, 512u, 488u}) {
    const auto used = rig.reap(0);
    REQUIRE(used);
    CHECK(used->written == written);
    const Bytes part = rig.get(rooms[all.size() / 512], written);
    all.insert(all.end(), part.begin(), part.end());
  }
  CHECK_FALSE(rig.reap(0));
  CHECK(header_at(rig, rooms[0]).buffers.get() == 3);
  CHECK(Bytes(all.begin() + kNetHeaderBytes, all.end()) == packet);
}

TEST_CASE("a packet that is larger than the mergeable buffers waits for more", "[receive]") {
  NetRig rig({.has_header = true});
  rig.start(kMerge | kTso);
  const GuestAddress first = rig.give_room(100);
  rig.host_send(with_header({}, pattern(150)));
  CHECK_FALSE(rig.reap(0));
  const GuestAddress second = rig.give_room(20);
  CHECK_FALSE(rig.reap(0));
  const GuestAddress third = rig.give_room(1000);
  CHECK(rig.reap(0)->written == 100);
  CHECK(rig.reap(0)->written == 20);
  CHECK(rig.reap(0)->written == kNetHeaderBytes + 150 - 120);
  CHECK(header_at(rig, first).buffers.get() == 3);
  Bytes all = rig.get(first, 100);
  for (const auto& [at, bytes] : {std::pair(second, 20u), std::pair(third, 42u)}) {
    const Bytes part = rig.get(at, bytes);
    all.insert(all.end(), part.begin(), part.end());
  }
  CHECK(Bytes(all.begin() + kNetHeaderBytes, all.end()) == pattern(150));
}

TEST_CASE("the largest packet arrives in pages", "[receive]") {
  NetRig rig({.has_header = true});
  rig.start(kMerge | kTso);
  const GuestAddress first = rig.give_room(4096);
  for (int i = 0; i < 20; ++i) rig.give_room(4096);
  const Bytes packet = pattern(kMaxPacketBytes);
  rig.host_send(with_header({.flags = kNeedsCsum,
                             .gso_type = kGsoTcp4,
                             .gso_bytes = Le16(1448),
                             .csum_start = Le16(34),
                             .csum_offset = Le16(16)},
                            packet));
  CHECK(header_at(rig, first).buffers.get() == 17);
  CHECK(header_at(rig, first).gso_type == kGsoTcp4);
  Bytes all = rig.get(first, kNetHeaderBytes + kMaxPacketBytes);
  CHECK(Bytes(all.begin() + kNetHeaderBytes, all.end()) == packet);
}

TEST_CASE("a packet too large for one buffer that is not mergeable is dropped", "[receive]") {
  NetRig rig({});
  rig.start(0);
  const GuestAddress at = rig.give_room(200);
  rig.host_send(pattern(400));
  CHECK_FALSE(rig.reap(0));
  rig.host_send(pattern(100, 9));
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 100) == pattern(100, 9));
}

TEST_CASE("buffers that cannot hold a header, or are not for writing, come back empty",
          "[receive][hostile]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  NetRig rig({});
  rig.start(rings | kMerge);
  const GuestAddress data = rig.room(4096);
  const std::vector<std::vector<NetRig::Buffer>> bad{
      {{.address = data, .length = 11, .device_writable = true}},
      {{.address = data, .length = 0, .device_writable = true}},
      {{.address = data, .length = 2000}},
      {{.address = data, .length = 12}, {.address = data, .length = 2000, .device_writable = true}},
      {{.address = GuestAddress(1ull << 40), .length = 2000, .device_writable = true}},
      {{.address = GuestAddress(~0ull - 4), .length = 2000, .device_writable = true}},
      {{.address = data, .length = ~0u, .device_writable = true}},
  };
  for (const auto& buffers : bad) {
    rig.offer(0, buffers);
    rig.host_send(pattern(60, 3));
    CHECK(rig.reap(0) == Used{.token = rig.last_token, .written = 0});
  }
  const GuestAddress at = rig.give_room(1600);
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 60) == pattern(60, 3));
}

TEST_CASE("chains that no driver sends do not stop the device", "[receive][hostile]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const auto queue = static_cast<std::uint16_t>(GENERATE(range(0, 3)));
  NetRig rig({});
  rig.start(rings | kMerge | bit(NetFeature::kCtrlVq) | virtio_queue::kFeatureIndirect);
  for (const auto& chain : virtio_device::testing::hostile_chains()) {
    CAPTURE(chain.name, queue);
    if (!chain.malformed && queue == 0) rig.host_send(pattern(1));
    CHECK(virtio_device::testing::outlive(rig.rig(), queue, chain) == "");
  }
  while (!rig.host_receive().empty()) continue;  // some were packets
  rig.transmit({}, pattern(60));
  CHECK(rig.host_receive().size() == 60);
}

TEST_CASE("a header in pieces is whole", "[receive]") {
  NetRig rig({.has_header = GENERATE(false, true)});
  rig.start(0);
  const GuestAddress at = rig.room(2000);
  std::vector<NetRig::Buffer> pieces;
  const std::uint32_t lengths[] = {1, 0, 4, 9, 1, 1000};
  std::uint64_t offset = 0;
  for (const std::uint32_t length : lengths) {
    pieces.push_back(
        {.address = GuestAddress(at.raw() + offset), .length = length, .device_writable = true});
    offset += length;
  }
  rig.offer(0, pieces);
  rig.host_send(rig.net->features() & bit(NetFeature::kCsum) ? with_header({}, pattern(77))
                                                             : pattern(77));
  REQUIRE(rig.reap(0));
  CHECK(header_at(rig, at).buffers.get() == 1);
  CHECK(packet_at(rig, at, 77) == pattern(77));
}

TEST_CASE("packets that the driver did not ask for are dropped", "[receive]") {
  NetRig rig({.options = {.mtu = 1500}, .has_header = true});
  rig.start(bit(NetFeature::kMtu));
  const GuestAddress at = rig.give_room(4000);
  VnetHeader large{.flags = kNeedsCsum, .gso_type = kGsoTcp4, .gso_bytes = Le16(1000)};
  rig.host_send(with_header(large, pattern(3000)));
  rig.host_send(with_header({.flags = kNeedsCsum}, pattern(64)));
  rig.host_send(with_header({}, pattern(1519)));
  rig.host_send({1, 2, 3});
  CHECK_FALSE(rig.reap(0));
  rig.host_send(with_header({.flags = kDataValid}, pattern(1518)));
  REQUIRE(rig.reap(0));
  CHECK(header_at(rig, at).flags == 0);
  CHECK(rig.net->counters().received.packets == 1);
}

TEST_CASE("a driver that gives bad buffers only gets all of them back", "[receive][hostile]") {
  NetRig rig({});
  rig.start(0);
  const std::array<NetRig::Buffer, 1> bad{{{rig.room(64), 4, true}}};
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < NetRig::kQueueSize; ++i) (void)rig.rig().add_raw(0, bad);
    rig.rig().publish(0);
    rig.run();
    for (int i = 0; i < NetRig::kQueueSize; ++i) REQUIRE(rig.reap(0));
  }
  const GuestAddress at = rig.give_room(1600);
  rig.host_send(pattern(60));
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 60) == pattern(60));
}

TEST_CASE("a ring that is broken asks for a reset, and the device works after it",
          "[receive][hostile]") {
  NetRig rig({});
  rig.start(0);
  const Le16 index(NetRig::kQueueSize + 1);  // more than the ring can have
  REQUIRE(rig.rig().memory().write(GuestAddress(rig.rig().rings(0).driver.raw() + 2), index));
  rig.core().kick(0);
  rig.run();
  rig.host_send(pattern(60));
  CHECK_FALSE(rig.rig().running());
  REQUIRE(rig.rig().start());
  const GuestAddress at = rig.give_room(1600);
  REQUIRE(rig.reap(0));
  CHECK(packet_at(rig, at, 60) == pattern(60));
}

TEST_CASE("a buffer that waited and was unmapped meanwhile is not written", "[receive]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const std::uint64_t merge = GENERATE(std::uint64_t{0}, kMerge);
  NetRig rig({});
  rig.start(rings | merge);
  const GuestAddress at = rig.room(4096);
  PageSwitch page(rig, at);
  page.map();
  rig.offer(0, {{.address = at, .length = 4096, .device_writable = true}});
  const Bytes before = page.content();
  page.unmap();
  rig.host_send(pattern(100));
  CHECK(page.content() == before);
  CHECK_FALSE(rig.reap(0));
  page.map();
  rig.host_send(pattern(60));
  REQUIRE(rig.reap(0) == Used{.token = rig.last_token,
                              .written = static_cast<std::uint32_t>(kNetHeaderBytes + 100)});
  CHECK(packet_at(rig, at, 100) == pattern(100));
  CHECK_FALSE(rig.reap(0));
}

TEST_CASE("a packet is lost whose buffers are unmapped while it waits for more", "[receive]") {
  NetRig rig({.has_header = true});
  rig.start(GENERATE(from_range(kRings)) | kMerge | kTso);
  const GuestAddress at = rig.room(4096);
  PageSwitch page(rig, at);
  page.map();
  rig.offer(0, {{.address = at, .length = 100, .device_writable = true}});
  const std::uint16_t first = rig.last_token;
  rig.host_send(with_header({}, pattern(150)));
  const Bytes before = page.content();
  page.unmap();
  rig.give_room(1000);
  CHECK(page.content() == before);
  CHECK_FALSE(rig.reap(0));
  page.map();
  rig.host_send(with_header({}, pattern(120, 9)));
  CHECK(rig.reap(0) == Used{.token = first, .written = 100});
  CHECK(rig.reap(0)->written == kNetHeaderBytes + 120 - 100);
  CHECK_FALSE(rig.reap(0));
}

TEST_CASE("buffers around a bad one come back once, whatever happens", "[receive][hostile]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const bool no_memory = GENERATE(false, true);
  const bool drains = GENERATE(false, true);
  NetRig rig({.has_header = true});
  rig.start(rings | kMerge | kTso);
  const auto offer = [&rig](GuestAddress at, bool writable) {
    return rig.rig()
        .send_raw(0,
                  std::vector<NetRig::Buffer>{
                      {.address = at, .length = 500, .device_writable = writable}})
        .value();
  };
  const std::uint16_t first = offer(rig.room(500), true);
  const std::uint16_t bad = offer(no_memory ? rig.rig().heap().end() : rig.room(500), no_memory);
  const std::uint16_t last = offer(rig.room(500), true);
  rig.run();
  CHECK(all_used(rig) == std::map<std::uint16_t, std::pair<int, std::uint32_t>>{{bad, {1, 0}}});
  if (drains) {
    rig.rig().drain();
    CHECK(all_used(rig) == std::map<std::uint16_t, std::pair<int, std::uint32_t>>{{first, {1, 0}}});
    // Two entries were used, so that a device which goes on from there has the third.
    const bool packed = (rings & virtio_queue::kFeaturePacked) != 0;
    const auto two = packed ? virtio_queue::RingPosition{.offset = 2}.bits() : std::uint16_t{2};
    auto queue = rig.core().queue(0)->activate(std::as_const(rig.rig().heap()).memory(),
                                               {.next_avail = two, .next_used = two});
    REQUIRE(queue);
    virtio_queue::InlineChain<4> chain;
    REQUIRE(queue->pop(chain) == virtio_queue::Pop::kChain);
    CHECK(chain.head() == last);
    CHECK(queue->pop(chain) == virtio_queue::Pop::kEmpty);
    return;
  }
  vm_memory::GuestMemory& memory = rig.rig().heap().memory();
  memory.replace(memory.snapshot());
  rig.host_send(with_header({}, pattern(300)));
  CHECK(all_used(rig) == std::map<std::uint16_t, std::pair<int, std::uint32_t>>{
                             {first, {1, 0}}, {last, {1, kNetHeaderBytes + 300}}});
}

TEST_CASE("a buffer may be as long as the queue", "[receive]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const std::uint64_t merge = GENERATE(std::uint64_t{0}, kMerge);
  const std::uint16_t length = GENERATE(as<std::uint16_t>(), 64, 128, 256, 2048);
  NetRig rig({.queue_size = length});
  rig.start(rings | merge);
  REQUIRE(rig.started);
  constexpr std::uint32_t kPart = 7;
  const GuestAddress at = rig.room(std::size_t{length} * kPart);
  for (std::uint8_t i = 0; i < 3; ++i) {
    const std::size_t bytes = std::min<std::size_t>(1500, length * kPart - kNetHeaderBytes);
    rig.offer(0, NetRig::cut(at, length, kPart, true));
    rig.host_send(pattern(bytes, i));
    REQUIRE(rig.reap(0) == Used{.token = rig.last_token,
                                .written = static_cast<std::uint32_t>(kNetHeaderBytes + bytes)});
    CHECK(packet_at(rig, at, bytes) == pattern(bytes, i));
    CHECK(header_at(rig, at).buffers.get() == 1);
  }
}
