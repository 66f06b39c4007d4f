// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The state of the GPIO daemon's device by the protocol: what a driver made of the lines is there
// when the device goes on, here or elsewhere.

#include <signal.h>

#include "backend_rig.h"
#include "state_pipe.h"
#include "vmm/sys_util/signal.h"
#include "vmm/virtio_gpio/gpio.h"
#include "vmm/virtio_gpio/simulated_chip.h"

namespace {

using namespace vmm;
using virtio_gpio::Direction;
using virtio_gpio::Gpio;
using virtio_gpio::SimulatedChip;

// Virtio 1.3, 5.18.6.
enum Message { kSetDirection = 3, kGetValue = 4, kSetValue = 5, kSetIrqType = 6 };
constexpr int kRisingEdge = 1;
constexpr std::uint32_t kRequests = 0;
constexpr std::uint32_t kEvents = 1;
constexpr std::uint64_t kEventAt = 0x9'0000;

struct Board {
  Board() {
    REQUIRE(sys_util::ignore_signal(SIGPIPE));
    guest.negotiate();
    REQUIRE(frontend().set_features(guest.features() | virtio_gpio::kFeatureIrq));
    guest.share_memory();
  }
  vhost_user::Frontend& frontend() { return guest.frontend(); }
  void go(std::uint32_t requests_base = 0, std::uint32_t events_base = 0) {
    guest.set_up_ring(kRequests, requests_base);
    guest.set_up_ring(kEvents, events_base);
    for (const std::uint32_t queue : {kRequests, kEvents}) guest.enable(queue);
    guest.driver_ok();
  }
  /// Stops both rings, and says where they are.
  std::array<std::uint32_t, 2> stop() {
    std::array<std::uint32_t, 2> at{};
    for (const std::uint32_t queue : {kRequests, kEvents}) {
      const auto base = frontend().get_vring_base(queue);
      REQUIRE(base);
      at[queue] = *base;
    }
    return at;
  }
  /// Whether the request was done.
  bool say(Message message, int line, int value = 0) {
    const std::string request{static_cast<char>(message),
                              0,
                              static_cast<char>(line),
                              0,
                              static_cast<char>(value),
                              0,
                              0,
                              0};
    const auto answer = guest.echo(kRequests, request);
    REQUIRE(answer);
    REQUIRE(answer->size() == 2);
    return (*answer)[0] == 0;
  }
  void unmask(int line) {
    guest.offer(kEvents, std::string{static_cast<char>(line), 0}, kEventAt);
    guest.kick(kEvents);
  }
  /// Whether a buffer comes back as an interrupt.
  bool interrupted(int patience_ms = vhost_user_backend::kPatienceMs) {
    return guest.answer(kEvents, patience_ms, kEventAt) == std::string(1, '\1');
  }

  std::shared_ptr<SimulatedChip> chip = *SimulatedChip::create({.lines = 6, .names = {}});
  vhost_user_backend::Process process{*Gpio::create(chip)};
  vhost_user_backend::Guest guest{process.connect(), 2, {}};
};

TEST_CASE("what a driver made of GPIO lines goes to another daemon", "[state]") {
  Board from;
  from.go();
  CHECK(from.say(kSetValue, 2, 1));
  CHECK(from.say(kSetDirection, 2, static_cast<int>(Direction::kOut)));
  CHECK(from.say(kSetIrqType, 0, kRisingEdge));
  (void)from.stop();
  CHECK(from.chip->direction(2) == Direction::kNone);
  const auto state = vhost_user_backend::save_state(from.frontend());
  REQUIRE(from.frontend().check_device_state());
  CHECK(state.size() == 6 * 4);

  Board to;
  REQUIRE(vhost_user_backend::load_state(to.frontend(), state));
  to.go();
  CHECK(to.say(kGetValue, 3));  // the other end of its wire; the device runs now
  CHECK(to.chip->direction(2) == Direction::kOut);
  CHECK(to.chip->direction(0) == Direction::kIn);
  to.unmask(0);
  to.chip->drive(0, true);
  CHECK(to.interrupted());

  CHECK_FALSE(vhost_user_backend::load_state(to.frontend(), state));  // not while it runs
  (void)to.stop();
  CHECK_FALSE(vhost_user_backend::load_state(to.frontend(), {}));
  const std::vector<std::byte> nonsense(6 * 4, std::byte{9});
  CHECK_FALSE(vhost_user_backend::load_state(to.frontend(), nonsense));
}

TEST_CASE("GPIO lines are as they were when a VM that was stopped goes on", "[state]") {
  Board board;
  board.go();
  CHECK(board.say(kSetDirection, 4, static_cast<int>(Direction::kOut)));
  CHECK(board.say(kSetIrqType, 0, kRisingEdge));
  board.unmask(0);
  CHECK_FALSE(board.interrupted(200));
  const auto at = board.stop();
  CHECK(board.interrupted());  // rather one too many than a buffer that is lost
  board.go(at[kRequests], at[kEvents]);
  CHECK(board.say(kSetValue, 4, 1));
  CHECK(board.chip->direction(4) == Direction::kOut);
  board.unmask(0);
  board.chip->drive(0, true);
  CHECK(board.interrupted());

  // The driver's reset ends all of it.
  REQUIRE(board.frontend().reset_device());
  CHECK(board.chip->direction(4) == Direction::kNone);
  const std::vector<std::byte> fresh(6 * 4);
  CHECK(vhost_user_backend::save_state(board.frontend()) == fresh);
}

}  // namespace
