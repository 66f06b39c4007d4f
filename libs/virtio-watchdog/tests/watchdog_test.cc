// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_watchdog/watchdog.h"

#include <catch2/catch.hpp>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_watchdog {
namespace {

using namespace std::chrono_literals;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;

constexpr auto kTimeout = 30ms;

/// A watchdog that counts how often it ran out.
struct Kennel {
  explicit Kennel(std::chrono::nanoseconds timeout = kTimeout, bool packed = false)
      : device(*Watchdog::create({.timeout = timeout, .on_expiry = [this] { ++expiries; }})),
        rig(device, {.packed = packed}) {
    REQUIRE(rig.start());
  }
  [[nodiscard]] bool ping() {
    const auto answer = rig.exchange(0, {.readable = {}, .writable = {8}});
    return answer && answer->written == 1 && answer->at<std::uint8_t>(0) == 1 &&
           answer->at<std::byte>(1) == DeviceRig::kUntouched;
  }
  [[nodiscard]] bool expires(std::chrono::milliseconds patience = 10 * kTimeout) {
    const int before = expiries;
    return rig.run_until([&] { return expiries != before; }, patience);
  }

  int expiries = 0;
  std::shared_ptr<Watchdog> device;
  DeviceRig rig;
};

TEST_CASE("a sign of life is answered with the byte 1", "[watchdog]") {
  for (const bool packed : {false, true}) {
    Kennel kennel(1h, packed);
    for (int i = 0; i < 20; ++i) CHECK(kennel.ping());
  }
}

TEST_CASE("a driver that was never there is not missed", "[watchdog]") {
  Kennel kennel;
  CHECK_FALSE(kennel.expires(3 * kTimeout));
}

TEST_CASE("a driver that falls silent is missed once", "[watchdog]") {
  Kennel kennel;
  REQUIRE(kennel.ping());
  CHECK(kennel.expires(60s));
  CHECK_FALSE(kennel.expires(3 * kTimeout));
  REQUIRE(kennel.ping());
  CHECK(kennel.expires(60s));
  CHECK(kennel.expiries == 2);
}

TEST_CASE("a driver that goes on is not missed", "[watchdog]") {
  Kennel kennel(1s);
  const auto end = std::chrono::steady_clock::now() + 1500ms;
  while (std::chrono::steady_clock::now() < end) {
    REQUIRE(kennel.ping());
    CHECK_FALSE(kennel.expires(20ms));
  }
}

TEST_CASE("silence while the VM stands still does not count", "[watchdog]") {
  Kennel kennel(300ms);
  REQUIRE(kennel.ping());
  kennel.device->pause();
  CHECK_FALSE(kennel.expires(600ms));
  kennel.device->resume();
  CHECK(kennel.expires(60s));
}

TEST_CASE("a sign of life just before the VM stands still counts when it goes on", "[watchdog]") {
  Kennel kennel;
  kennel.device->pause();
  REQUIRE(kennel.ping());
  CHECK_FALSE(kennel.expires(3 * kTimeout));
  kennel.device->resume();
  CHECK(kennel.expires(60s));
}

TEST_CASE("a VM that is not watched is not watched after a pause", "[watchdog]") {
  Kennel kennel;
  kennel.device->pause();
  kennel.device->resume();
  CHECK_FALSE(kennel.expires(3 * kTimeout));
}

TEST_CASE("a reset ends the watch", "[watchdog]") {
  Kennel kennel(300ms);
  REQUIRE(kennel.ping());
  REQUIRE(kennel.rig.start());
  CHECK_FALSE(kennel.expires(600ms));
  REQUIRE(kennel.ping());
  CHECK(kennel.expires(60s));
}

TEST_CASE("only buffers that can be written to are signs of life", "[watchdog][hostile]") {
  Kennel kennel;
  const auto answer = kennel.rig.exchange(0, {.readable = {bytes_of("alive")}, .writable = {}});
  REQUIRE(answer);
  CHECK(answer->written == 0);
  CHECK_FALSE(kennel.expires(3 * kTimeout));
}

TEST_CASE("a watchdog outlives each hostile chain", "[watchdog][hostile]") {
  for (const bool packed : {false, true}) {
    Kennel kennel(1h, packed);
    for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(packed, chain.name);
      CHECK(outlive(kennel.rig, 0, chain) == "");
      CHECK(kennel.ping());
    }
  }
}

TEST_CASE("a watchdog needs a timeout and somebody to tell", "[watchdog]") {
  CHECK_FALSE(Watchdog::create({.timeout = 0s, .on_expiry = [] {}}));
  CHECK_FALSE(Watchdog::create({.timeout = -1s, .on_expiry = [] {}}));
  CHECK_FALSE(Watchdog::create({.timeout = 1s, .on_expiry = {}}));
}

}  // namespace
}  // namespace vmm::virtio_watchdog
