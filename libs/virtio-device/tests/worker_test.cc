// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "core_fixture.h"
#include "vmm/event_manager/loop_thread.h"

using namespace vmm;
using namespace vmm::virtio_device;

namespace {

// Threads that run loops until the end of the test.
class LoopThreads {
 public:
  explicit LoopThreads(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      threads_.push_back(*event_manager::LoopThread::create("worker"));
      threads_.back()->call([this] { ids_.push_back(std::this_thread::get_id()); });
    }
  }
  [[nodiscard]] std::vector<event_manager::EventLoop*> loops() {
    std::vector<event_manager::EventLoop*> all;
    for (const auto& thread : threads_) all.push_back(&thread->loop());
    return all;
  }
  [[nodiscard]] bool owns(std::thread::id id) const {
    return std::ranges::find(ids_, id) != ids_.end();
  }

 private:
  std::vector<std::unique_ptr<event_manager::LoopThread>> threads_;
  std::vector<std::thread::id> ids_;
};

struct Log {
  std::thread::id started;
  std::thread::id destroyed;
};

class LoggingWorker final : public Worker {
 public:
  LoggingWorker(Log& log, bool fails) : log_(log), fails_(fails) {}
  ~LoggingWorker() override { log_.destroyed = std::this_thread::get_id(); }
  Result<void> start(event_manager::EventLoop&) override {
    log_.started = std::this_thread::get_id();
    if (fails_) return fail(Error::os(EMFILE, "start"));
    return {};
  }

 private:
  Log& log_;
  bool fails_;
};

}  // namespace

TEST_CASE("workers start and end on the loops' threads, round and round", "[worker]") {
  LoopThreads threads(2);
  LoopWorkers workers(threads.loops());
  std::array<Log, 3> logs;
  WorkerList list;
  for (Log& log : logs) list.push_back(std::make_unique<LoggingWorker>(log, false));
  REQUIRE(workers.start(std::move(list)));
  workers.stop();
  for (const Log& log : logs) {
    CHECK(threads.owns(log.started));
    CHECK(log.destroyed == log.started);
  }
  CHECK(logs[0].started == logs[2].started);
  CHECK(logs[0].started != logs[1].started);
}

TEST_CASE("when one worker does not start, none are left", "[worker]") {
  LoopThreads threads(1);
  LoopWorkers workers(threads.loops());
  std::array<Log, 3> logs;
  WorkerList list;
  for (std::size_t i = 0; i < 3; ++i) {
    list.push_back(std::make_unique<LoggingWorker>(logs[i], i == 1));
  }
  const auto started = workers.start(std::move(list));
  REQUIRE_FALSE(started);
  CHECK(started.error().is_os(EMFILE));
  CHECK(logs[2].started == std::thread::id());
  for (const Log& log : logs) CHECK(threads.owns(log.destroyed));
}

TEST_CASE("a device serves on its own thread while the driver resets it again and again",
          "[worker]") {
  LoopThreads threads(1);
  auto memory = small_memory();
  CountingSink sink;
  const auto device = std::make_shared<testing::EchoDevice>();
  LoopWorkers workers(threads.loops());
  CoreFixture layout;
  layout.core = *TransportCore::create(
      {.device = device, .memory = layout.memory, .workers = workers, .sink = sink});
  for (int round = 0; round < 100; ++round) {
    auto driver = layout.driver(0);
    layout.go(kFeatureVersion1 | virtio_queue::kFeatureRingReset);
    REQUIRE(layout.core->active());
    const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
    for (int i = 0; i < 8; ++i) {
      if (driver.add({&buffer, 1}) && driver.publish()) layout.core->kick(0);
    }
    if (round % 2 == 0) layout.core->reset_queue(0);
    layout.core->set_status(0);
    REQUIRE(device->workers() == 0);
  }
  layout.core.reset();
}
