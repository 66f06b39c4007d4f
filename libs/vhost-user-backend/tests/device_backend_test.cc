// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user_backend/device_backend.h"

#include <unistd.h>

#include <string_view>

#include "echo_rig.h"
#include "soon.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/vhost_user/inflight_memory.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::MessageError;
using vhost_user::ProtocolFeature;
using virtio_device::testing::EchoDevice;

// How often the device was started: more than once where this process was held up while it told
// about the rings.
int starts_of(const Setup& setup) {
  EchoRig rig(setup);
  rig.guest.start();
  for (int i = 0; i < 40; ++i) {
    CHECK(rig.guest.echo(0, "hello") == "hello");
    CHECK(rig.guest.echo(1, "there") == "there");
  }
  CHECK(rig.device->negotiated() ==
        (virtio_device::kFeatureVersion1 | (setup.packed ? virtio_queue::kFeaturePacked : 0)));
  return rig.device->activations();
}

TEST_CASE("a device serves a front end, however that starts it", "[backend]") {
  for (const bool packed : {false, true}) {
    for (const bool status : {false, true}) {
      CAPTURE(packed, status);
      int starts = 0;
      for (int attempt = 0; attempt < 20 && starts != 1; ++attempt) {
        starts = starts_of({.packed = packed, .status = status});
      }
      CHECK(starts == 1);
    }
  }
}

TEST_CASE("a front end without protocol features is served too", "[backend]") {
  EchoRig rig({.status = false, .protocol = false});
  rig.guest.start();
  CHECK(rig.guest.echo(0, "old") == "old");
}

TEST_CASE("nothing runs before everything was said", "[backend]") {
  EchoRig rig;
  rig.guest.negotiate();
  rig.guest.share_memory();
  rig.guest.set_up_ring(0, 0);
  rig.guest.offer(0, "early");
  rig.guest.kick(0);
  rig.guest.driver_ok();
  CHECK_FALSE(rig.guest.answer(0, 50));
  CHECK(rig.device->served() == 0);
  rig.guest.enable(0);
  CHECK(rig.guest.answer(0) == "early");  // the kick was not lost
  CHECK(rig.device->served() == 1);
}

// As QEMU 7.2 does it for entropy and sockets.
TEST_CASE("rings run where DRIVER_OK never comes", "[backend]") {
  EchoRig rig;
  rig.guest.negotiate();
  REQUIRE(rig.guest.frontend().set_status(virtio_device::kFeaturesOk));
  rig.guest.share_memory();
  rig.guest.set_up_ring(0, 0);
  rig.guest.enable(0);
  CHECK(rig.guest.echo(0, "served") == "served");
  REQUIRE(rig.guest.frontend().set_status(0));
  CHECK_FALSE(rig.process.running());
}

TEST_CASE("a ring stops where it is, and goes on from there", "[backend]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    EchoRig rig({.packed = packed});
    rig.guest.start();
    for (int i = 0; i < 20; ++i) CHECK(rig.guest.echo(0, "a") == "a");
    const auto base = rig.guest.frontend().get_vring_base(0);
    REQUIRE(base);
    // 20 entries; 40 descriptors, twice around and 8.
    CHECK(*base == (packed ? 0x8008'8008u : 20u));
    rig.guest.offer(0, "later", 0x9'0000);
    rig.guest.kick(0);
    CHECK_FALSE(rig.guest.answer(0, 20));
    CHECK(rig.guest.echo(1, "other") == "other");
    rig.guest.set_up_ring(0, *base);
    CHECK(rig.guest.answer(0, kPatienceMs, 0x9'0000) == "later");
    CHECK(rig.guest.echo(0, "again") == "again");
  }
}

TEST_CASE("a disabled ring keeps its kicks", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().set_vring_enable(0, false));
  rig.guest.offer(0, "b");
  rig.guest.kick(0);
  CHECK_FALSE(rig.guest.answer(0, 20));
  REQUIRE(rig.guest.frontend().set_vring_enable(0, true));
  CHECK(rig.guest.answer(0) == "b");
}

TEST_CASE("the call descriptor may change at any time", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  const int starts = rig.device->activations();
  const auto other = *sys_util::EventFd::create();
  REQUIRE(rig.guest.frontend().set_vring_call(0, other.fd()));
  rig.guest.offer(0, "b");
  rig.guest.kick(0);
  CHECK(Guest::readable(other.fd()));
  CHECK(*other.take() >= 1);
  // What is new is told at once, as what was told before may have reached nobody.
  REQUIRE(rig.guest.frontend().set_vring_call(0, other.fd()));
  CHECK(Guest::readable(other.fd()));
  REQUIRE(rig.guest.frontend().set_vring_call(0, -1));
  rig.guest.offer(0, "c");
  rig.guest.kick(0);
  CHECK(soon([&] { return rig.device->served() == 3; }));
  CHECK(rig.device->activations() == starts);
}

TEST_CASE("the configuration space is the device's", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  rig.device->fill_config(std::byte{5});
  std::array<std::byte, 16> config{};
  REQUIRE(rig.guest.frontend().get_config(4, config));
  CHECK(config[0] == std::byte{5});
  CHECK(config[7] == std::byte{5});
  CHECK(config[8] == std::byte{0});  // beyond its 12 bytes
  const std::array written = {std::byte{1}, std::byte{2}};
  REQUIRE(rig.guest.frontend().set_config(10, written));
  REQUIRE(rig.guest.frontend().get_config(8, config));
  CHECK(config[3] == std::byte{2});
  const Error refusal = rig.guest.frontend().set_config(11, written).error();
  CHECK(is(refusal, MessageError::kRefused));
  CHECK(std::string_view(refusal.what()) == "VHOST_USER_SET_CONFIG");
  CHECK(rig.guest.echo(0, "a") == "a");
}

class Requests final : public vhost_user::BackendRequestHandler {
 public:
  Result<UniqueFd> handle(vhost_user::BackendRequest& request) override {
    seen.push_back(request.index() + 1);
    return UniqueFd();
  }
  std::vector<std::size_t> seen;
};

TEST_CASE("the device tells that its configuration has changed", "[backend]") {
  EchoRig rig;
  rig.guest.negotiate();
  auto [ours, theirs] = socket_pair();
  REQUIRE(rig.guest.frontend().set_backend_channel(theirs.get()));
  Requests requests;
  vhost_user::FrontendChannel channel(*vhost_user::Connection::adopt(std::move(ours)), requests);
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  rig.device->fill_config(std::byte{1});
  REQUIRE(Guest::readable(channel.fd()));
  REQUIRE(channel.serve());
  CHECK(requests.seen == std::vector<std::size_t>{2});
}

TEST_CASE("kicks and calls can be messages", "[backend]") {
  EchoRig rig;
  vhost_user::Frontend& frontend = rig.guest.frontend();
  REQUIRE(frontend.negotiate(~std::uint64_t{0}));
  REQUIRE(frontend.set_features(rig.guest.features()));
  auto [ours, theirs] = socket_pair();
  REQUIRE(frontend.set_backend_channel(theirs.get()));
  Requests requests;
  vhost_user::FrontendChannel channel(*vhost_user::Connection::adopt(std::move(ours)), requests);
  rig.guest.share_memory();
  REQUIRE(frontend.set_vring_num(0, kQueueSize));
  REQUIRE(frontend.set_vring_addr(rig.guest.addresses(0)));
  REQUIRE(frontend.set_vring_enable(0, true));
  REQUIRE(frontend.set_status(0xf));
  rig.guest.offer(0, "a");
  REQUIRE(frontend.vring_kick(0));
  REQUIRE(Guest::readable(channel.fd()));
  REQUIRE(channel.serve());
  CHECK(requests.seen == std::vector<std::size_t>{4});
  rig.guest.offer(0, "b");
  REQUIRE(frontend.vring_kick(0));
  CHECK(Guest::readable(channel.fd()));
}

TEST_CASE("memory comes and goes while the device runs", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  const int starts = rig.device->activations();
  CHECK(*rig.guest.frontend().get_max_mem_slots() == 509);
  const auto more = *sys_util::MemFd::create(4096);
  const std::uint64_t text = 0x64636261;
  REQUIRE(::pwrite(more.fd(), &text, 8, 0) == 8);
  const vhost_user::MemoryRegion region{.guest_address = 0x1000'0000,
                                        .bytes = 4096,
                                        .user_address = kUser + 0x1000'0000,
                                        .mmap_offset = 0};
  REQUIRE(rig.guest.frontend().add_region(region, more.fd()));
  CHECK(is(rig.guest.frontend().add_region(region, more.fd()).error(), MessageError::kRefused));
  CHECK(rig.guest.echo(0, "b") == "b");
  REQUIRE(rig.guest.frontend().remove_region(region));
  CHECK(is(rig.guest.frontend().remove_region(region).error(), MessageError::kRefused));
  CHECK(rig.guest.echo(0, "c") == "c");
  CHECK(rig.device->activations() == starts);
}

TEST_CASE("a front end that goes leaves nothing behind", "[backend]") {
  const auto device = std::make_shared<EchoDevice>();
  Process process(device);
  for (int i = 0; i < 3; ++i) {
    {
      Guest guest(process.connect(), 2, {});
      guest.start();
      CHECK(guest.echo(0, "a") == "a");
      CHECK(process.running());
    }
    CHECK(soon([&] { return !process.serving(); }));
    CHECK_FALSE(process.running());
    CHECK(device->workers() == 0);
    CHECK(device->chosen() == 0);
  }
}

TEST_CASE("a reset stops the device, and it starts anew", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().reset_device());
  CHECK_FALSE(rig.process.running());
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features()));
  rig.guest.set_up_ring(0, 1);
  rig.guest.enable(0);
  rig.guest.driver_ok();
  CHECK(rig.guest.echo(0, "b") == "b");
  REQUIRE(rig.guest.frontend().set_status(0));
  CHECK_FALSE(rig.process.running());
}

TEST_CASE("a status of 0 leaves the rings where they are", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  for (int i = 0; i < 5; ++i) CHECK(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().set_status(0));
  CHECK_FALSE(rig.process.running());
  const auto base = rig.guest.frontend().get_vring_base(0);
  REQUIRE(base);
  CHECK(*base == 5);
  rig.guest.set_up_ring(0, *base);
  rig.guest.driver_ok();
  CHECK(rig.guest.echo(0, "b") == "b");
}

TEST_CASE("a broken ring is told, and needs a reset", "[backend][hostile]") {
  EchoRig rig;
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  // The driver's index runs away.
  const GuestAddress index = *rig.guest.shape(0).rings.driver.checked_add(2);
  REQUIRE(rig.guest.view().write(index, Le16(0x7777)));
  rig.guest.kick(0);
  CHECK(rig.guest.error(0));
  CHECK(*rig.guest.frontend().get_status() == (0xf | 64));
  CHECK(rig.process.serving());
}

TEST_CASE("what cannot be is refused, and the session goes on", "[backend][hostile]") {
  EchoRig rig;
  vhost_user::Frontend& frontend = rig.guest.frontend();
  rig.guest.negotiate();
  auto addresses = rig.guest.addresses(0);
  CHECK(refused(frontend.set_vring_addr(addresses)));  // no memory yet
  rig.guest.share_memory();
  for (const std::uint64_t outside : {kUser - 16, kUser + kRamBytes, ~std::uint64_t{0} - 15}) {
    addresses = rig.guest.addresses(0);
    addresses.descriptors = outside;
    CHECK(refused(frontend.set_vring_addr(addresses)));
    addresses = rig.guest.addresses(0);
    addresses.used = outside & ~std::uint64_t{3};
    CHECK(refused(frontend.set_vring_addr(addresses)));
  }
  CHECK(refused(frontend.set_vring_num(0, 3)));
  CHECK(refused(frontend.set_vring_num(0, 32)));
  CHECK(refused(frontend.set_vring_enable(2, true)));
  CHECK_FALSE(frontend.get_inflight(3, 16));
  rig.guest.start();
  CHECK(rig.guest.echo(0, "a") == "a");
  // Nothing of a running ring may change.
  CHECK(refused(frontend.set_vring_num(0, 8)));
  CHECK(refused(frontend.set_vring_base(0, 8)));
  CHECK(refused(frontend.set_vring_addr(rig.guest.addresses(1))) == false);
  addresses = rig.guest.addresses(0);
  addresses.descriptors += 16;
  CHECK(refused(frontend.set_vring_addr(addresses)));
  CHECK(rig.guest.echo(0, "b") == "b");
}

TEST_CASE("a ring whose base cannot be does not start", "[backend][hostile]") {
  EchoRig rig;
  rig.guest.negotiate();
  rig.guest.share_memory();
  rig.guest.set_up_ring(0, 0x1234);
  rig.guest.enable(0);
  rig.guest.driver_ok();
  CHECK(rig.guest.error(0));
  CHECK_FALSE(rig.process.running());
  CHECK(rig.process.serving());
}

TEST_CASE("the socket is closed when the device has stopped", "[backend]") {
  EchoRig rig;
  rig.guest.start();
  rig.device->hold(true);
  rig.guest.offer(0, "a");
  rig.guest.kick(0);
  const bool held = soon([&] { return rig.device->holding() == 1; });
  const std::array<char, 12> junk{'?', '?', '?', '?'};
  REQUIRE(::write(rig.guest.frontend().fd(), junk.data(), junk.size()) == 12);
  CHECK_FALSE(Guest::readable(rig.guest.frontend().fd(), 100));
  rig.device->hold(false);
  CHECK(held);
  CHECK(Guest::readable(rig.guest.frontend().fd()));
  CHECK(soon([&] { return !rig.process.serving(); }));
}

TEST_CASE("inflight memory is kept by the front end and used", "[backend]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    const auto device = std::make_shared<EchoDevice>();
    Process process(device);
    Guest guest(process.connect(), 2, {.packed = packed});
    guest.negotiate();
    const auto file = guest.frontend().get_inflight(2, kQueueSize);
    REQUIRE(file);
    REQUIRE(guest.frontend().set_inflight(file->area, file->fd.get()));
    guest.start();
    for (int i = 0; i < 20; ++i) CHECK(guest.echo(0, "a") == "a");
    const auto memory =
        vhost_user::InflightMemory::open(file->area, UniqueFd(::dup(file->fd.get())), packed);
    REQUIRE(memory);
    CHECK(memory->queue(0)->load<std::uint16_t>(8) == 1);  // its version
    CHECK(memory->queue(0)->load<std::uint16_t>(10) == kQueueSize);
    // Where the ring is: the used index of a split ring, the used position of a packed one.
    CHECK(memory->queue(0)->load<std::uint16_t>(packed ? 16 : 14) == (packed ? 8 : 20));
    CHECK(is(guest.frontend().set_inflight(file->area, file->fd.get()).error(),
             MessageError::kRefused));  // not while it runs
  }
}

}  // namespace
}  // namespace vmm::vhost_user_backend
