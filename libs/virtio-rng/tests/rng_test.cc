// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_rng/rng.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <memory>

#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"
#include "vmm/virtio_device/testing/restart_queue.h"

namespace vmm::virtio_rng {
namespace {

using rate_limiter::RateLimiter;
using rate_limiter::RateLimits;
using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;
using virtio_device::testing::Request;
using virtio_device::testing::restart_queue;

/// Both ends of a pipe: what is written to `in` is the entropy.
struct Source {
  Source() {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }
  void write(std::size_t bytes) const {
    const std::vector<char> data(bytes, 'r');
    REQUIRE(::write(in.get(), data.data(), bytes) == static_cast<ssize_t>(bytes));
  }

  UniqueFd in, out;
};

TEST_CASE("entropy goes from the source to the driver, byte by byte", "[rng]") {
  for (const bool packed : {false, true}) {
    Source source;
    source.write(100);
    DeviceRig rig(*Rng::create(std::move(source.out)), {.packed = packed});
    REQUIRE(rig.start());
    const auto first = rig.exchange(0, {.readable = {}, .writable = {10, 1, 49}});
    REQUIRE(first);
    CHECK(first->written == 60);
    CHECK(std::ranges::all_of(first->bytes, [](std::byte b) { return b == std::byte{'r'}; }));
    const auto rest = rig.exchange(0, {.readable = {}, .writable = {60}});
    REQUIRE(rest);
    CHECK(rest->written == 40);
    CHECK(rest->at<char>(39) == 'r');
    CHECK(rest->at<std::byte>(40) == DeviceRig::kUntouched);
  }
}

TEST_CASE("a request may be as long as the queue", "[rng]") {
  Source source;
  source.write(Rng::kQueueSize);
  DeviceRig rig(*Rng::create(std::move(source.out)),
                {.packed = GENERATE(false, true), .queue_size = Rng::kQueueSize});
  REQUIRE(rig.start());
  const auto answer =
      rig.exchange(0, {.readable = {}, .writable = std::vector<std::uint32_t>(Rng::kQueueSize, 1)});
  REQUIRE(answer);
  CHECK(answer->written == Rng::kQueueSize);
  CHECK(std::ranges::all_of(answer->bytes, [](std::byte b) { return b == std::byte{'r'}; }));
}

/// Whether a request waits, and the loop has nothing to do meanwhile.
bool waits(DeviceRig& rig) {
  rig.run();
  const auto ready = rig.loop().run_once(DeviceRig::Milliseconds(0));
  return rig.running() && !rig.receive(0) && ready && *ready == 0;
}

TEST_CASE("requests wait for a dry source and are served when it has more", "[rng]") {
  for (const bool packed : {false, true}) {
    for (const bool in_order : {false, true}) {
      CAPTURE(packed, in_order);
      Source source;
      DeviceRig rig(*Rng::create(std::move(source.out)), {.packed = packed, .in_order = in_order});
      REQUIRE(rig.start());
      const Request request{.readable = {}, .writable = {16}};
      REQUIRE(rig.send(0, request));
      CHECK(waits(rig));
      REQUIRE(rig.send(0, request));
      CHECK(waits(rig));
      source.write(3);
      const auto first = rig.wait(0);
      REQUIRE(first);
      CHECK(first->written == 3);
      CHECK(waits(rig));  // the second one
      source.write(16);
      const auto second = rig.wait(0);
      REQUIRE(second);
      CHECK(second->written == 16);
      source.write(16);
      const auto third = rig.exchange(0, request);
      REQUIRE(third);
      CHECK(third->written == 16);
    }
  }
}

TEST_CASE("a limiter holds requests back, and lets them go on", "[rng][limit]") {
  for (const bool operations : {false, true}) {
    const rate_limiter::BucketConfig bucket{
        .size = operations ? 2u : 128u, .one_time_burst = 0, .refill_ms = 40};
    const auto limiter = std::make_shared<RateLimiter>(
        operations ? RateLimits{.bandwidth = {}, .operations = bucket}
                   : RateLimits{.bandwidth = bucket, .operations = {}});
    DeviceRig rig(*Rng::open("/dev/zero", limiter));
    REQUIRE(rig.start());
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 10; ++i) REQUIRE(rig.send(0, {.readable = {}, .writable = {64}}));
    for (int i = 0; i < 10; ++i) {
      const auto answer = rig.wait(0);
      REQUIRE(answer);
      CHECK(answer->written == 64);
    }
    // Two at once, then one each 20 ms.
    CHECK(std::chrono::steady_clock::now() - begun >= std::chrono::milliseconds(150));
    // One that asks for more than there ever is waits for a full bucket only.
    const auto large = rig.exchange(0, {.readable = {}, .writable = {4096}});
    REQUIRE(large);
    CHECK(large->written == 4096);
  }
}

TEST_CASE("a limiter is asked for what a request gets, and for no more", "[rng][limit]") {
  const rate_limiter::BucketConfig bucket{
      .size = 1u << 20, .one_time_burst = 0, .refill_ms = 1u << 30};
  const auto limiter =
      std::make_shared<RateLimiter>(RateLimits{.bandwidth = bucket, .operations = bucket});
  Source source;
  DeviceRig rig(*Rng::create(std::move(source.out), limiter));
  REQUIRE(rig.start());
  // The source has less, and then nothing, and somebody asks for nothing at all.
  source.write(10);
  REQUIRE(rig.exchange(0, {.readable = {}, .writable = {1 << 20, 1 << 20}}));
  REQUIRE(rig.exchange(0, {.readable = {bytes_of("please")}, .writable = {}}));
  REQUIRE(rig.send(0, {.readable = {}, .writable = {64}}));
  CHECK(waits(rig));
  CHECK(limiter->consume((1u << 20) - 1, (1u << 20) - 10).count() == 0);
  CHECK(limiter->consume(1, 0).count() != 0);
  CHECK(limiter->consume(0, 1).count() != 0);
}

TEST_CASE("a queue that is reset while the limiter holds it back is left alone",
          "[rng][limit][ring-reset]") {
  for (const bool again : {false, true}) {
    CAPTURE(again);
    const auto limiter = std::make_shared<RateLimiter>(RateLimits{
        .bandwidth = {}, .operations = {.size = 1, .one_time_burst = 0, .refill_ms = 20}});
    DeviceRig rig(*Rng::open("/dev/zero", limiter), {.features = virtio_queue::kFeatureRingReset});
    REQUIRE(rig.start());
    REQUIRE(rig.exchange(0, {.readable = {}, .writable = {16}}));
    REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
    REQUIRE(rig.run());
    if (again) {
      REQUIRE(restart_queue(rig, 0));
      const auto answer = rig.exchange(0, {.readable = {}, .writable = {16}});
      REQUIRE(answer);
      CHECK(answer->written == 16);
    } else {
      rig.core().reset_queue(0);
      CHECK_FALSE(rig.run_until([] { return false; }, std::chrono::milliseconds(100)));
    }
    CHECK(rig.running());
  }
}

TEST_CASE("a reset ends the waiting for the limiter", "[rng][limit]") {
  const auto limiter = std::make_shared<RateLimiter>(RateLimits{
      .bandwidth = {}, .operations = {.size = 1, .one_time_burst = 0, .refill_ms = 1u << 30}});
  DeviceRig rig(*Rng::open("/dev/zero", limiter));
  REQUIRE(rig.start());
  REQUIRE(rig.exchange(0, {.readable = {}, .writable = {16}}));
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
  rig.reset();
  limiter->update({});
  REQUIRE(rig.start());
  REQUIRE(rig.exchange(0, {.readable = {}, .writable = {16}}));
}

TEST_CASE("a reset ends the waiting for a dry source", "[rng]") {
  Source source;
  DeviceRig rig(*Rng::create(std::move(source.out)));
  REQUIRE(rig.start());
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
  rig.reset();
  source.write(16);
  rig.run();
  REQUIRE(rig.start());
  const auto answer = rig.exchange(0, {.readable = {}, .writable = {16}});
  REQUIRE(answer);
  CHECK(answer->written == 16);
}

TEST_CASE("a reset of the queue alone ends the waiting for a dry source", "[rng][ring-reset]") {
  Source source;
  DeviceRig rig(*Rng::create(std::move(source.out)), {.features = virtio_queue::kFeatureRingReset});
  REQUIRE(rig.start());
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
  rig.core().reset_queue(0);
  source.write(16);
  CHECK(rig.run());
  CHECK_FALSE(rig.receive(0));
  CHECK(rig.running());
}

TEST_CASE("a source that ends leaves requests unanswered and costs nothing", "[rng]") {
  Source source;
  DeviceRig rig(*Rng::create(std::move(source.out)));
  REQUIRE(rig.start());
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
  source.in.reset();
  CHECK(waits(rig));
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
}

TEST_CASE("a source that cannot be read or waited for leaves requests unanswered", "[rng]") {
  Source source;
  const bool empty_file = GENERATE(false, true);
  DeviceRig rig(empty_file ? *Rng::open("/dev/null")
                           : *Rng::create(std::move(source.in)));  // the end to write to
  REQUIRE(rig.start());
  REQUIRE(rig.send(0, {.readable = {}, .writable = {16}}));
  CHECK(waits(rig));
}

TEST_CASE("one request takes a bounded share of the source", "[rng]") {
  DeviceRig rig(*Rng::open("/dev/zero"));
  REQUIRE(rig.start());
  const auto answer = rig.exchange(0, {.readable = {}, .writable = {1 << 20, 1 << 20}});
  REQUIRE(answer);
  CHECK(answer->written == Rng::kMaxRequestBytes);
}

TEST_CASE("a request that cannot be written to gets nothing", "[rng][hostile]") {
  DeviceRig rig(*Rng::open("/dev/zero"));
  REQUIRE(rig.start());
  const auto answer = rig.exchange(0, {.readable = {bytes_of("please")}, .writable = {}});
  REQUIRE(answer);
  CHECK(answer->written == 0);
}

TEST_CASE("an entropy device outlives each hostile chain", "[rng][hostile]") {
  for (const bool packed : {false, true}) {
    DeviceRig rig(*Rng::open("/dev/zero"), {.packed = packed});
    REQUIRE(rig.start());
    for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(packed, chain.name);
      CHECK(outlive(rig, 0, chain) == "");
      const auto answer = rig.exchange(0, {.readable = {}, .writable = {16}});
      REQUIRE(answer);
      CHECK(answer->written == 16);
    }
  }
}

TEST_CASE("what the entropy device writes is marked dirty", "[rng]") {
  DeviceRig rig(*Rng::open("/dev/zero"), {.dirty_tracking = true});
  REQUIRE(rig.start());
  const GuestAddress at = rig.heap().take(4096);
  const auto map = rig.heap().memory().snapshot();
  const vm_memory::Region& ram = *map->regions().front();
  REQUIRE(ram.dirty() != nullptr);
  const std::uint64_t offset = at.raw() - ram.base().raw();
  REQUIRE_FALSE(ram.dirty()->is_dirty(offset));
  const std::array parts{virtio_device::testing::Buffer{at, 16, true}};
  REQUIRE(rig.send_raw(0, parts));
  REQUIRE(rig.wait(0));
  CHECK(ram.dirty()->is_dirty(offset));
}

TEST_CASE("a source that is not there is an error", "[rng]") {
  CHECK_FALSE(Rng::open("/nonexistent"));
  CHECK_FALSE(Rng::create(UniqueFd()));
}

}  // namespace
}  // namespace vmm::virtio_rng
