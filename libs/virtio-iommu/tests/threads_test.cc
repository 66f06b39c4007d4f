// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A device translates on a thread of its own while the driver maps and unmaps, and while a third
// one plugs and unplugs other devices. Nobody waits without an end: each thread polls, and stops
// when it is told to or the time is over.

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "iommu_rig.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/virtio_queue/queue_config.h"

namespace vmm::virtio_iommu {
namespace {

using virtio_queue::Chain;
using virtio_queue::Queue;
using virtio_queue::driver::Buffer;
using virtio_queue::driver::Driver;
using Clock = std::chrono::steady_clock;

constexpr int kRounds = 1500;
constexpr std::chrono::seconds kTime{120};
constexpr std::uint64_t kWindow = 0x100'0000;  // the I/O address that leads to ever other pages
constexpr std::uint64_t kPages = 16;           // of data, behind the rings and the answer
constexpr std::uint64_t kRings = kRam;
constexpr std::uint64_t kAnswer = kRam + 3 * kPage;
constexpr std::uint64_t kData = kRam + 4 * kPage;

virtio_queue::QueueShape shape_of(bool packed) {
  return {.rings = {GuestAddress(kRings), GuestAddress(kRings + kPage),
                    GuestAddress(kRings + 2 * kPage)},
          .size = 8,
          .packed = packed,
          .event_idx = false,
          .in_order = false};
}

virtio_queue::QueueConfig config_of(const virtio_queue::QueueShape& shape) {
  auto config = *virtio_queue::QueueConfig::create(8);
  config.set_features(shape.packed ? virtio_queue::kFeaturePacked : 0);
  REQUIRE(config.set_size(shape.size));
  REQUIRE(config.set_descriptors(shape.rings.descriptors));
  REQUIRE(config.set_driver(shape.rings.driver));
  REQUIRE(config.set_device(shape.rings.device));
  config.set_ready(true);
  return config;
}

/// Answers each request with its own first eight bytes.
void serve(Queue& queue, const std::atomic<bool>& stop) {
  virtio_queue::InlineChain<8> chain;
  while (!stop) {
    const auto served =
        queue.process(chain, 16, [](Chain& request) -> std::optional<std::uint32_t> {
          const auto number = request.reader().read_obj<Le64>();
          if (!number || !request.writer().write_obj(*number)) return 0;
          return 8;
        });
    if (served.broken) return;
    if (served.chains == 0) std::this_thread::yield();
  }
}

/// Plugs and unplugs another device, and has guest memory looked at anew.
void plug(Iommu& iommu, const std::atomic<bool>& stop) {
  while (!stop) {
    (void)iommu.add_endpoint(9, std::make_shared<MemoryEndpoint>());
    iommu.memory_changed();
    (void)iommu.remove_endpoint(9);
    std::this_thread::yield();
  }
}

/// Joins its threads however the test ends.
struct Threads {
  ~Threads() {
    stop = true;
    for (std::thread& thread : all) thread.join();
  }
  std::atomic<bool> stop{false};
  std::vector<std::thread> all;
};

std::optional<virtio_queue::driver::Used> reap(Driver& driver, Clock::time_point end) {
  while (Clock::now() < end) {
    const auto used = driver.reap();
    if (!used) return std::nullopt;
    if (*used) return **used;
    std::this_thread::yield();
  }
  return std::nullopt;
}

TEST_CASE("what is offered after an answer is translated by what it said", "[iommu][threads]") {
  const auto end = Clock::now() + kTime;
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    IommuRig rig;
    const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
    REQUIRE(rig.ask(attach(1, 8)) == kOk);
    REQUIRE(rig.ask(map(1, {kRam, kRam + 4 * kPage - 1, kRam})) == kOk);
    for (std::uint64_t page = 0; page < kPages; ++page) {
      REQUIRE(rig.memory.view().write(GuestAddress(kData + page * kPage), Le64(page + 1)));
    }
    const auto shape = shape_of(packed);
    Driver driver = *Driver::create(shape, rig.memory.view());
    Queue queue = *config_of(shape).activate(endpoint->memory());
    Threads threads;
    threads.all.emplace_back([&] { serve(queue, threads.stop); });
    threads.all.emplace_back([&] { plug(*rig.iommu, threads.stop); });
    int wrong = 0;
    int rounds = 0;
    for (; rounds < kRounds && Clock::now() < end; ++rounds) {
      const std::uint64_t page = static_cast<std::uint64_t>(rounds) % kPages;
      if (rig.ask(map(1, {kWindow, kWindow + 0xfff, kData + page * kPage})) != kOk) break;
      const std::array<Buffer, 2> buffers{Buffer{GuestAddress(kWindow), 8, false},
                                          Buffer{GuestAddress(kAnswer), 8, true}};
      if (!driver.add(buffers)) break;
      (void)driver.publish();
      const auto used = reap(driver, end);
      if (!used) break;
      const auto answer = rig.memory.view().read<Le64>(GuestAddress(kAnswer));
      if (used->written != 8 || answer->get() != page + 1) ++wrong;
      if (rig.ask(unmap(1, kWindow, kWindow + 0xfff)) != kOk) break;
      // It is over: the same request is refused, at once.
      if (rounds % 4 == 0) {
        if (!driver.add(buffers)) break;
        (void)driver.publish();
        const auto refused = reap(driver, end);
        if (!refused) break;
        if (refused->written != 0) ++wrong;
      }
    }
    CHECK(wrong == 0);
    CHECK(rounds == kRounds);
  }
}

TEST_CASE("maps can be looked at while they are replaced", "[iommu][threads]") {
  IommuRig rig;
  const auto endpoint = rig.add(8, std::make_shared<MemoryEndpoint>());
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  std::atomic<int> wrong{0};
  std::atomic<std::uint64_t> looks{0};
  const auto* const ram = rig.memory.snapshot()->regions()[0]->host().data();
  Threads threads;
  for (int i = 0; i < 2; ++i) {
    threads.all.emplace_back([&] {
      while (!threads.stop) {
        const auto map = endpoint->memory().snapshot();
        for (std::uint64_t page = 0; page < kPages; ++page) {
          const GuestAddress at(kWindow + page * 2 * kPage);
          const auto* const span = map->view().find_region(at);
          if (span == nullptr) continue;
          const auto offset = static_cast<std::uint64_t>(span->host.data() - ram);
          if (offset != page * kPage || span->base != at) ++wrong;
        }
        ++looks;
      }
    });
  }
  const auto end = Clock::now() + kTime;
  for (int round = 0; round < 200 && Clock::now() < end; ++round) {
    for (std::uint64_t page = 0; page < kPages; ++page) {
      const std::uint64_t at = kWindow + page * 2 * kPage;
      REQUIRE(rig.ask(map(1, {at, at + 0xfff, kRam + page * kPage})) == kOk);
    }
    REQUIRE(rig.ask(unmap(1, 0, ~std::uint64_t{0})) == kOk);
  }
  while (looks == 0 && Clock::now() < end) std::this_thread::yield();
  CHECK(wrong == 0);
  CHECK(looks > 0);
}

}  // namespace
}  // namespace vmm::virtio_iommu
