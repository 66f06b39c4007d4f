// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The state of a device over a pipe: SET_DEVICE_STATE_FD and CHECK_DEVICE_STATE.

#include <signal.h>
#include <unistd.h>

#include "backend_rig.h"
#include "open_fds.h"
#include "state_pipe.h"
#include "vmm/sys_util/signal.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {
namespace {

using vhost_user::DeviceStateTransfer;
using virtio_device::testing::EchoDevice;

constexpr DeviceStateTransfer kSave{.direction = DeviceStateTransfer::kSave};
constexpr DeviceStateTransfer kLoad{.direction = DeviceStateTransfer::kLoad};

struct Rig {
  Rig() : guest(process.connect(), 1, {}) { REQUIRE(sys_util::ignore_signal(SIGPIPE)); }

  std::vector<std::byte> save() { return save_state(guest.frontend()); }
  Result<void> load(std::span<const std::byte> state) {
    return load_state(guest.frontend(), state);
  }
  void stop() { REQUIRE(guest.frontend().get_vring_base(0)); }

  std::shared_ptr<EchoDevice> device = std::make_shared<EchoDevice>();
  Process process{device};
  Guest guest;
};

TEST_CASE("the state of a stopped device goes to another one", "[state]") {
  Rig from;
  from.guest.start();
  REQUIRE(from.guest.echo(0, "a") == "a");
  from.device->set_tag('!');
  CHECK(from.guest.echo(0, "a") == "!a");
  from.stop();
  const auto state = from.save();
  REQUIRE(from.guest.frontend().check_device_state());
  CHECK(state == std::vector{std::byte{'!'}});

  Rig to;
  to.guest.negotiate();
  to.guest.share_memory();
  REQUIRE(to.load(state));
  to.guest.set_up_ring(0, 0);
  to.guest.enable(0);
  to.guest.driver_ok();
  CHECK(to.guest.echo(0, "b") == "!b");
}

TEST_CASE("a device that stops and goes on has its state, and a reset ends it", "[state]") {
  Rig rig;
  rig.guest.start();
  rig.device->set_tag('?');
  CHECK(rig.guest.echo(0, "a") == "?a");
  const auto base = rig.guest.frontend().get_vring_base(0);
  REQUIRE(base);
  rig.guest.set_up_ring(0, *base);
  CHECK(rig.guest.echo(0, "b") == "?b");
  REQUIRE(rig.guest.frontend().set_vring_enable(0, false));
  rig.guest.enable(0);
  CHECK(rig.guest.echo(0, "c") == "?c");
  REQUIRE(rig.guest.frontend().reset_device());
  CHECK(rig.save() == std::vector{std::byte{0}});
}

TEST_CASE("a state may be larger than a pipe", "[state]") {
  constexpr std::size_t kBytes = 5'000'000;
  Rig rig;
  rig.guest.negotiate();
  rig.device->set_state_bytes(kBytes);
  CHECK(rig.save().size() == kBytes);
  REQUIRE(rig.guest.frontend().check_device_state());
  REQUIRE(rig.load(std::vector<std::byte>(kBytes, std::byte{7})));
  CHECK(rig.save() == std::vector<std::byte>(kBytes, std::byte{7}));
}

TEST_CASE("a device that runs is neither saved nor loaded", "[state][hostile]") {
  const std::size_t before = open_fds();
  {
    Rig rig;
    rig.guest.start();
    REQUIRE(rig.guest.echo(0, "a") == "a");
    Pipe pipe;
    CHECK(refused(rig.guest.frontend().set_device_state(kSave, pipe.write.get())));
    CHECK(refused(rig.guest.frontend().set_device_state(kLoad, pipe.read.get())));
    CHECK(refused(rig.guest.frontend().check_device_state()));
    CHECK(rig.guest.echo(0, "a") == "a");
    // A load that began before: it is not taken by a device that runs meanwhile.
    rig.stop();
    REQUIRE(rig.guest.frontend().set_device_state(kLoad, pipe.read.get()));
    REQUIRE(::write(pipe.write.get(), "x", 1) == 1);
    pipe.write.reset();
    rig.guest.set_up_ring(0, 2);
    CHECK(rig.guest.echo(0, "b") == "b");
    CHECK(refused(rig.guest.frontend().check_device_state()));
    CHECK(rig.guest.echo(0, "c") == "c");
  }
  CHECK(open_fds() == before);
}

// The loop has looked at what was ready before: the pipe.
bool a_round_later(vhost_user::Frontend& frontend) { return frontend.get_queue_num().has_value(); }

TEST_CASE("transfers that do not end well are told, and leave no descriptor", "[state][hostile]") {
  const std::size_t before = open_fds();
  {
    Rig rig;
    rig.guest.negotiate();
    vhost_user::Frontend& frontend = rig.guest.frontend();
    CHECK(refused(frontend.check_device_state()));  // nothing was begun
    CHECK(refused(rig.load({})));                   // no such state
    CHECK(refused(rig.load(std::vector<std::byte>(2))));
    {  // not at its end
      Pipe pipe;
      REQUIRE(frontend.set_device_state(kLoad, pipe.read.get()));
      REQUIRE(::write(pipe.write.get(), "x", 1) == 1);
      CHECK(refused(frontend.check_device_state()));
      CHECK(refused(frontend.check_device_state()));
    }
    {  // nobody reads
      rig.device->set_state_bytes(1 << 20);
      Pipe pipe;
      REQUIRE(frontend.set_device_state(kSave, pipe.write.get()));
      CHECK(refused(frontend.check_device_state()));
      REQUIRE(frontend.set_device_state(kSave, pipe.write.get()));
      pipe.read.reset();
      pipe.write.reset();
      REQUIRE(a_round_later(frontend));
      CHECK(refused(frontend.check_device_state()));
      rig.device->set_state_bytes(1);
    }
    {  // the wrong end of a pipe, and what is no pipe
      Pipe pipe;
      REQUIRE(frontend.set_device_state(kSave, pipe.read.get()));
      REQUIRE(a_round_later(frontend));
      CHECK(refused(frontend.check_device_state()));
      CHECK(refused(frontend.set_device_state(kLoad, rig.guest.ram_fd())));
    }
    // More than any state.
    CHECK(refused(rig.load(std::vector<std::byte>(virtio_device::StateOwner::kMaxBytes + 1))));
    const std::byte tag{'x'};
    REQUIRE(rig.load({&tag, 1}));
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::vhost_user_backend
