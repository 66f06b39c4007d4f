// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The ports of a console of several ports, when its device stops and goes on, here or elsewhere:
// front ends stop rings for much more than a reset.

#include <signal.h>

#include "backend_rig.h"
#include "state_pipe.h"
#include "vmm/base/endian.h"
#include "vmm/sys_util/signal.h"
#include "vmm/virtio_console/multiport.h"

namespace {

using namespace vmm;
using virtio_console::ConsoleOutput;
using virtio_console::MultiportConsole;
using virtio_console::PortOptions;
using virtio_queue::driver::Buffer;

// Virtio 1.3, 5.3.2 and 5.3.6.2.
constexpr std::uint32_t kQueues = 6;
constexpr std::uint32_t kToDriver = 2;
constexpr std::uint32_t kFromDriver = 3;
constexpr std::uint32_t kAgentInput = 4;
enum Event : std::uint16_t { kDeviceReady = 0, kPortReady = 3, kPortOpen = 6 };

constexpr std::uint32_t kAgent = 1;  // the second port
constexpr GuestAddress kMessageAt{0x8'0000};
constexpr GuestAddress kHeardAt{0x9'0000};
constexpr GuestAddress kInputAt{0xa'0000};

class Nowhere final : public ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override { return bytes.size(); }
  [[nodiscard]] int room_fd() const override { return -1; }
};

struct Desk {
  explicit Desk(bool connected = true)
      : device(*MultiportConsole::create(
            std::array{PortOptions{.output = &nowhere},
                       PortOptions{.output = &nowhere, .connected = connected}})) {
    REQUIRE(sys_util::ignore_signal(SIGPIPE));
    guest.negotiate();
    REQUIRE(guest.frontend().set_features(guest.features() | virtio_console::kFeatureMultiport));
    guest.share_memory();
  }
  void go() {
    for (std::uint32_t queue = 0; queue < kQueues; ++queue) guest.set_up_ring(queue, at[queue]);
    for (std::uint32_t queue = 0; queue < kQueues; ++queue) guest.enable(queue);
    guest.driver_ok();
  }
  void stop() {
    for (std::uint32_t queue = 0; queue < kQueues; ++queue) {
      const auto base = guest.frontend().get_vring_base(queue);
      REQUIRE(base);
      at[queue] = *base;
    }
  }
  /// What comes back in the oldest buffer of a queue, if anything does.
  std::optional<std::uint32_t> written(std::uint32_t queue, int patience_ms = 5000) {
    for (;;) {
      if (const auto used = guest.reap(queue)) return used->written;
      if (!guest.readable(guest.call_fd(queue), patience_ms)) return std::nullopt;
      std::uint64_t count = 0;
      (void)!::read(guest.call_fd(queue), &count, sizeof(count));
    }
  }
  void say(std::uint32_t port, Event event) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes.data(), port);
    store_le(bytes.data() + 4, static_cast<std::uint16_t>(event));
    store_le(bytes.data() + 6, std::uint16_t{1});
    REQUIRE(guest.view().write_bytes(kMessageAt, bytes));
    const Buffer part{kMessageAt, bytes.size(), false};
    guest.offer_parts(kFromDriver, {&part, 1});
    guest.kick(kFromDriver);
    REQUIRE(written(kFromDriver));
  }
  /// Event and value of the next message for the driver; nullopt: there is none.
  std::optional<std::pair<int, int>> hear(int patience_ms = 5000) {
    if (!offered) {
      const Buffer part{kHeardAt, 64, true};
      guest.offer_parts(kToDriver, {&part, 1});
      guest.kick(kToDriver);
    }
    offered = true;
    if (!written(kToDriver, patience_ms)) return std::nullopt;
    offered = false;
    std::array<std::byte, 8> bytes{};
    REQUIRE(guest.view().read_bytes(kHeardAt, bytes));
    return std::pair(load_le<std::uint16_t>(bytes.data() + 4),
                     load_le<std::uint16_t>(bytes.data() + 6));
  }
  /// Up to a program of the guest that has opened the agent's port.
  void open() {
    say(0, kDeviceReady);
    say(kAgent, kPortReady);
    say(kAgent, kPortOpen);
    for (int i = 0; i < 3; ++i) REQUIRE(hear());  // of two ports, and of the host's side of one
    CHECK(device->is_open(kAgent));
  }
  /// Whether what the host's side writes reaches the program.
  bool reaches_the_program() {
    const Buffer part{kInputAt, 64, true};
    guest.offer_parts(kAgentInput, {&part, 1});
    guest.kick(kAgentInput);
    REQUIRE(device->input(kAgent).enqueue(std::as_bytes(std::span("hello", 5))));
    return written(kAgentInput, 1000) == 5u;
  }

  Nowhere nowhere;
  std::shared_ptr<MultiportConsole> device;
  vhost_user_backend::Process process{device};
  vhost_user_backend::Guest guest{process.connect(), kQueues, {}};
  std::array<std::uint32_t, kQueues> at{};
  bool offered = false;
};

TEST_CASE("a port that is open stays so when a device stops and goes on", "[state]") {
  Desk desk;
  desk.go();
  desk.open();
  REQUIRE(desk.guest.frontend().set_vring_enable(0, false));
  desk.guest.enable(0);
  CHECK(desk.reaches_the_program());
  CHECK(desk.device->is_open(kAgent));
  CHECK_FALSE(desk.hear(200));  // the driver knows all of it

  desk.stop();
  CHECK_FALSE(desk.device->is_open(kAgent));
  REQUIRE(desk.guest.frontend().reset_device());
  const std::vector<std::byte> fresh(2);
  CHECK(vhost_user_backend::save_state(desk.guest.frontend()) == fresh);
}

TEST_CASE("the ports of a console go to another process", "[state]") {
  Desk from;
  from.go();
  from.open();
  from.stop();
  const auto state = vhost_user_backend::save_state(from.guest.frontend());
  REQUIRE(from.guest.frontend().check_device_state());

  const bool connected = GENERATE(true, false);
  Desk to(connected);
  REQUIRE(vhost_user_backend::load_state(to.guest.frontend(), state));
  to.go();
  CHECK(to.reaches_the_program());
  const auto heard = to.hear(connected ? 200 : 5000);
  CHECK(heard == (connected ? std::nullopt : std::optional(std::pair(int{kPortOpen}, 0))));
}

}  // namespace
