// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The rules of a back end, one by one, where other tests do not show them on their way.

#include <unistd.h>

#include "backend_rig.h"
#include "open_fds.h"
#include "soon.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {
namespace {

using virtio_device::testing::EchoDevice;

struct Rig {
  explicit Rig(const Setup& setup = {}) : guest(process.connect(), 2, setup) {}

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  Process process{device};
  Guest guest;
};

TEST_CASE("RESET_DEVICE disables all rings, stops them and forgets the features", "[rules]") {
  Rig rig;
  rig.guest.start();
  REQUIRE(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().reset_device());
  CHECK(rig.device->chosen() == 0);
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features()));
  rig.guest.driver_ok();
  CHECK_FALSE(rig.process.running());
  rig.guest.set_up_ring(0, 1);  // started, and disabled
  CHECK_FALSE(rig.process.running());
  rig.guest.enable(0);
  CHECK(rig.guest.echo(0, "b") == "b");
}

TEST_CASE("RESET_OWNER does the same, and the next owner is taken", "[rules]") {
  Rig rig;
  rig.guest.start();
  REQUIRE(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().reset_owner());
  CHECK_FALSE(rig.process.running());
  CHECK(rig.device->chosen() == 0);
}

TEST_CASE("SET_FEATURES with a bit that was not offered is refused", "[rules]") {
  Rig rig;
  rig.guest.negotiate();
  for (unsigned bit = 0; bit < 64; ++bit) {
    const std::uint64_t feature = std::uint64_t{1} << bit;
    if ((rig.guest.frontend().features() & feature) != 0) continue;
    CAPTURE(bit);
    CHECK(refused(rig.guest.frontend().set_features(rig.guest.features() | feature)));
  }
  CHECK(rig.device->chosen() == virtio_device::kFeatureVersion1);
}

TEST_CASE("without protocol features rings are enabled, with them they are not", "[rules]") {
  {
    Rig rig({.status = false, .protocol = false});
    rig.guest.negotiate();
    rig.guest.share_memory();
    rig.guest.set_up_ring(0, 0);
    CHECK(rig.guest.echo(0, "enabled") == "enabled");
  }
  Rig rig({.status = false});
  rig.guest.negotiate();
  rig.guest.share_memory();
  rig.guest.set_up_ring(0, 0);
  rig.guest.offer(0, "disabled");
  rig.guest.kick(0);
  CHECK_FALSE(rig.guest.answer(0, 50));
}

TEST_CASE("a ring's size is in its bounds, and its index is one that there is", "[rules]") {
  Rig rig;
  rig.guest.negotiate();
  rig.guest.share_memory();
  vhost_user::Frontend& frontend = rig.guest.frontend();
  for (const std::uint32_t size : {3u, 17u, 32u, 32768u})
    CHECK(refused(frontend.set_vring_num(0, size)));
  for (const std::uint32_t ring : {2u, 255u}) {
    CHECK(refused(frontend.set_vring_num(ring, 16)));
    CHECK(refused(frontend.set_vring_base(ring, 0)));
    CHECK(refused(frontend.set_vring_addr({.index = ring})));
    CHECK(refused(frontend.set_vring_enable(ring, true)));
    CHECK(refused(frontend.set_vring_kick(ring, -1)));
    CHECK(refused(frontend.set_vring_call(ring, -1)));
    CHECK(refused(frontend.set_vring_err(ring, -1)));
  }
  CHECK(rig.process.serving());
  // It has no way to say that there is no such ring, and ends the session.
  CHECK_FALSE(frontend.get_vring_base(2));
}

TEST_CASE("a split ring goes on at the used index that stands in memory", "[rules]") {
  Rig rig;
  rig.guest.start();
  for (int i = 0; i < 3; ++i) REQUIRE(rig.guest.echo(0, "a") == "a");
  const auto base = rig.guest.frontend().get_vring_base(0);
  REQUIRE(gives(base, 3));
  // Another back end, which knows nothing but what it is told.
  REQUIRE(rig.guest.frontend().reset_device());
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features()));
  rig.guest.set_up_ring(0, *base);
  rig.guest.enable(0);
  rig.guest.driver_ok();
  REQUIRE(rig.guest.echo(0, "b") == "b");
  const GuestAddress used = *rig.guest.shape(0).rings.device.checked_add(2);
  CHECK(rig.guest.view().read<Le16>(used)->get() == 4);
}

// DPDK starts each ring at 0, also for a back end that comes after another one.
TEST_CASE("a split ring whose base is 0 again goes on at the used index", "[rules]") {
  Rig rig;
  rig.guest.start();
  for (int i = 0; i < 3; ++i) REQUIRE(rig.guest.echo(0, "a") == "a");
  rig.guest.offer(0, "b");
  REQUIRE(rig.guest.frontend().reset_device());
  REQUIRE(rig.guest.frontend().set_features(rig.guest.features()));
  rig.guest.set_up_ring(0, 0);
  rig.guest.enable(0);
  rig.guest.driver_ok();
  CHECK(rig.process.running());
  rig.guest.kick(0);
  CHECK(rig.guest.answer(0) == "b");
}

TEST_CASE("GET_VRING_BASE drops kick and call, and keeps size and addresses", "[rules]") {
  Rig rig;
  rig.guest.start();
  REQUIRE(rig.guest.echo(0, "a") == "a");
  const std::size_t with_both = open_fds();
  const auto base = rig.guest.frontend().get_vring_base(0);
  REQUIRE(base);
  CHECK(open_fds() == with_both - 1);  // the call's place stays, with nothing behind it
  rig.guest.offer(0, "b");
  rig.guest.kick(0);
  CHECK_FALSE(rig.guest.answer(0, 30));
  // Neither number nor addresses are said again.
  REQUIRE(rig.guest.frontend().set_vring_base(0, *base));
  REQUIRE(rig.guest.frontend().set_vring_call(0, rig.guest.call_fd(0)));
  REQUIRE(rig.guest.frontend().set_vring_kick(0, rig.guest.kick_fd(0)));
  CHECK(rig.guest.answer(0) == "b");
}

TEST_CASE("SET_VRING_KICK of a ring that runs exchanges the kick and no more", "[rules]") {
  Rig rig;
  rig.guest.start();
  REQUIRE(rig.guest.echo(0, "a") == "a");
  const auto other = *sys_util::EventFd::create();
  REQUIRE(rig.guest.frontend().set_vring_kick(0, other.fd()));
  rig.guest.offer(0, "b");
  REQUIRE(other.add());
  CHECK(rig.guest.answer(0) == "b");
  CHECK(rig.guest.echo(1, "c") == "c");
}

TEST_CASE("a kick of a ring that is disabled is served once when it is enabled", "[rules]") {
  Rig rig;
  rig.guest.start();
  REQUIRE(rig.guest.echo(0, "a") == "a");
  REQUIRE(rig.guest.frontend().set_vring_enable(0, false));
  rig.guest.offer(0, "b", 0x9'0000);
  for (int i = 0; i < 3; ++i) rig.guest.kick(0);
  // The loop looks at what came before first.
  REQUIRE(rig.guest.echo(1, "c") == "c");
  CHECK(rig.device->served() == 2);
  rig.guest.enable(0);
  CHECK(rig.guest.answer(0, kPatienceMs, 0x9'0000) == "b");
  CHECK(rig.device->served() == 3);
}

TEST_CASE("a region goes by its exact addresses and size", "[rules]") {
  Rig rig;
  rig.guest.negotiate();
  rig.guest.share_memory();
  vhost_user::MemoryRegion region{
      .guest_address = 0, .bytes = kRamBytes, .user_address = kUser, .mmap_offset = 0};
  for (const int which : {0, 1, 2}) {
    vhost_user::MemoryRegion other = region;
    if (which == 0) other.bytes -= 4096;
    if (which == 1) other.user_address += 4096;
    if (which == 2) other.guest_address += 4096;
    CHECK(refused(rig.guest.frontend().remove_region(other)));
  }
  REQUIRE(rig.guest.frontend().remove_region(region));
  CHECK(gives(rig.guest.frontend().get_max_mem_slots(), 509));
}

TEST_CASE("a front end that goes within a message is told from one that says goodbye", "[rules]") {
  const std::size_t before = open_fds();
  {
    const auto device = std::make_shared<EchoDevice>();
    Process process(device);
    const UniqueFd front = process.connect();
    REQUIRE(::write(front.get(), "\1\0\0", 3) == 3);
    ::shutdown(front.get(), SHUT_RDWR);
    CHECK(soon([&] { return !process.serving(); }));
    Guest next(process.connect(), 2, {});
    next.start();
    CHECK(next.echo(0, "next") == "next");
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::vhost_user_backend
