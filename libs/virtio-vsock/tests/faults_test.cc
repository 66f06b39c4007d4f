// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a socket device fails once. An error ends its connection and no other; no byte
// is lost or twice in one that goes on.

#include <cerrno>

#include "faulty_calls.h"
#include "open_fds.h"
#include "rig.h"

namespace vmm::virtio_vsock {
namespace {

/// A connection of which both sides say something, several times. What each got.
struct Talk {
  std::string at_host;
  std::string at_guest;
  bool reset = false;  ///< the device ended it
};

std::string words(int round, char who) { return std::string(700, who) + std::to_string(round); }

Talk talk(Rig& rig, const HostProgram& program, std::uint32_t port) {
  Talk said;
  for (int round = 0; round < 3; ++round) {
    rig.send(Rig::packet(Op::kData, port), words(round, 'g'));
    {
      const faulty_calls::Pause pause;
      (void)program.send(words(round, 'h'));
    }
    for (int i = 0; i < 4; ++i) rig.driver.run();
    const faulty_calls::Pause pause;
    said.at_host += program.read();
    while (const auto packet = rig.receive()) {
      said.reset |= packet->header.op == Op::kReset;
      if (packet->header.op == Op::kData) said.at_guest += packet->payload;
    }
  }
  return said;
}

std::string all(char who) { return words(0, who) + words(1, who) + words(2, who); }

}  // namespace

TEST_CASE("each transfer of a socket device that fails ends at most its connection", "[faults]") {
  // Not EAGAIN: whoever says so tells later that there is something, which a fault does not.
  const auto error = GENERATE(0, EINTR, EIO, ENOMEM, EPIPE, ECONNRESET);
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    const std::size_t before = open_fds();
    bool failed = false;
    {
      Rig rig;
      const HostProgram program = rig.open();
      const HostProgram other = rig.open(kGuestPort + 1);
      faulty_calls::arm(
          {.nth = nth, .error = error, .calls = faulty_calls::kSend | faulty_calls::kReceive});
      const Talk said = talk(rig, program, kGuestPort);
      failed = faulty_calls::disarm();
      // What is told is what was said, or its beginning.
      REQUIRE(all('g').compare(0, said.at_host.size(), said.at_host) == 0);
      REQUIRE(all('h').compare(0, said.at_guest.size(), said.at_guest) == 0);
      const bool passes = error == EINTR || error == 0;
      if (passes || !failed) {
        CHECK_FALSE(said.reset);
        CHECK(said.at_host == all('g'));
        CHECK(said.at_guest == all('h'));
      }
      const Talk elsewhere = talk(rig, other, kGuestPort + 1);
      CHECK(elsewhere.at_host == all('g'));
      CHECK(elsewhere.at_guest == all('h'));
      CHECK(rig.driver.running());
    }
    CHECK(open_fds() == before);
    if (!failed) {
      CHECK(nth > 5);
      break;
    }
  }
}

}  // namespace vmm::virtio_vsock
