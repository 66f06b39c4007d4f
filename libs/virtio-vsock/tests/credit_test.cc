// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/credit.h"

#include <catch2/catch.hpp>
#include <random>

namespace vmm::virtio_vsock {
namespace {

TEST_CASE("what may be sent is the peer's buffer without what is in flight", "[vsock][credit]") {
  SendCredit credit;
  CHECK(credit.available() == 0);
  REQUIRE(credit.update(1000, 0));
  CHECK(credit.available() == 1000);
  credit.sent(700);
  CHECK(credit.available() == 300);
  REQUIRE(credit.update(1000, 500));
  CHECK(credit.available() == 800);
  REQUIRE(credit.update(100, 500));  // the peer made its buffer smaller than what is in flight
  CHECK(credit.available() == 0);
  REQUIRE(credit.update(0xffff'ffff, 700));
  CHECK(credit.available() == 0x7fff'ffff);
}

TEST_CASE("a peer's count may be late but not ahead", "[vsock][credit][hostile]") {
  SendCredit credit;
  REQUIRE(credit.update(1000, 0));
  credit.sent(600);
  REQUIRE(credit.update(1000, 600));
  CHECK_FALSE(credit.update(1000, 601));
  CHECK_FALSE(credit.update(5000, 0x7000'0000));
  CHECK(credit.available() == 1000);
  REQUIRE(credit.update(1000, 400));  // overtaken by the one before
  CHECK(credit.available() == 1000);
  REQUIRE(credit.update(1000, 0xffff'ff00));
  CHECK(credit.available() == 1000);
}

TEST_CASE("send credit is exact where counters wrap", "[vsock][credit]") {
  SendCredit credit;
  std::uint32_t sent = 0;
  std::uint32_t forwarded = 0;
  std::mt19937 engine(1);
  const auto up_to = [&](std::uint32_t most) {
    return most == 0 ? 0 : static_cast<std::uint32_t>(engine() % most) + 1;
  };
  std::uint64_t total = 0;
  REQUIRE(credit.update(1u << 30, 0));
  while (total < (std::uint64_t{3} << 32)) {
    const std::uint32_t bytes = up_to(credit.available());
    credit.sent(bytes);
    sent += bytes;
    total += bytes;
    const std::uint32_t in_flight = sent - forwarded;
    REQUIRE(credit.available() == (1u << 30) - in_flight);
    forwarded += up_to(in_flight);
    REQUIRE(credit.update(1u << 30, forwarded));
    REQUIRE_FALSE(credit.update(1u << 30, sent + 1));
  }
}

TEST_CASE("what may be received is the buffer without what waits", "[vsock][credit][hostile]") {
  ReceiveCredit credit(1000);
  CHECK_FALSE(credit.receive(1001));
  CHECK(credit.receive(1000));
  CHECK_FALSE(credit.receive(1));
  credit.forward(10);
  CHECK(credit.receive(10));
  CHECK_FALSE(credit.receive(1));
  CHECK_FALSE(credit.receive(0xffff'ffff));
  CHECK(credit.receive(0));
}

TEST_CASE("receive credit is exact where counters wrap", "[vsock][credit]") {
  ReceiveCredit credit(3u << 30);
  for (unsigned i = 0; i < 100; ++i) {
    REQUIRE(credit.receive(3u << 30));
    REQUIRE_FALSE(credit.receive(1));
    credit.forward(3u << 30);
    REQUIRE(credit.tell_forwarded() == static_cast<std::uint32_t>((i + 1) * (3ull << 30)));
  }
}

TEST_CASE("an update is due when the peer believes that less than half is free",
          "[vsock][credit]") {
  ReceiveCredit credit(1000);
  REQUIRE(credit.receive(500));
  credit.forward(500);
  CHECK_FALSE(credit.update_due());
  REQUIRE(credit.receive(1));
  CHECK(credit.update_due());
  CHECK(credit.tell_forwarded() == 500);
  CHECK_FALSE(credit.update_due());
  REQUIRE(credit.receive(600));
  CHECK_FALSE(credit.update_due());  // there is nothing new to tell
  credit.forward(1);
  CHECK(credit.update_due());
}

}  // namespace
}  // namespace vmm::virtio_vsock
