// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "x86_64/ioapic_pins.h"

#include <catch2/catch.hpp>

#include "tests/support/open_fds.h"
#include "vmm/sys_util/event_fd.h"

namespace vmm::reference::x86_64 {
namespace {

class NoMessages final : public vm_device::MsiSender {
 public:
  void send(const vm_device::MsiMessage&) override {}
};

class Pin final : public vfio_pci::PinSink {
 public:
  void set_pin(bool high) override { asserted = high; }

  bool asserted = false;
};

struct Board {
  Result<std::shared_ptr<const void>> connect() {
    return pins.connect(
        {.slot = 1, .pin = 0, .trigger = trigger.fd(), .unmask = unmask.fd(), .sink = &pin});
  }
  void run() {
    for (int i = 0; i < 4; ++i) (void)loop.run_once(std::chrono::milliseconds(0));
  }

  NoMessages messages;
  vm_superio::Ioapic ioapic{messages};
  event_manager::EventLoop loop = *event_manager::EventLoop::create();
  sys_util::EventFd trigger = *sys_util::EventFd::create();
  sys_util::EventFd unmask = *sys_util::EventFd::create();
  Pin pin;
  IoapicPins pins{loop, ioapic, 16, 4};
};

TEST_CASE("a pin is asserted by its device, until the guest has ended the interrupt", "[pins]") {
  Board board;
  auto connected = board.connect();
  REQUIRE(connected);
  board.run();
  for (int round = 0; round < 3; ++round) {
    (void)board.trigger.add();
    board.run();
    CHECK(board.pin.asserted);
    (*connected).reset();
    CHECK_FALSE(board.pin.asserted);
    connected = board.connect();
    REQUIRE(connected);
    board.run();
  }
}

TEST_CASE("pins that come and go while the control loop waits leave nothing", "[pins][hostile]") {
  Board board;
  auto connected = board.connect();
  REQUIRE(connected);
  board.run();
  const std::size_t before = open_fds();
  for (int i = 0; i < 1000; ++i) {
    (*connected).reset();
    connected = board.connect();
    REQUIRE(connected);
  }
  CHECK(open_fds() <= before + 2);  // the loop lets go of the first one when it runs again
  board.run();
  CHECK(open_fds() == before);
  (void)board.trigger.add();
  board.run();
  CHECK(board.pin.asserted);
  (*connected).reset();
  board.run();
  CHECK(open_fds() < before);
}

}  // namespace
}  // namespace vmm::reference::x86_64
