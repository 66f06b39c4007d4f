// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Both sides of vhost-user against each other: a driver, a RemoteDevice, and a back end on threads.

#include "vmm/vhost_user_frontend/remote_device.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <mutex>
#include <thread>

#include "remote_rig.h"
#include "soon.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user_backend/daemon.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_queue/driver/driver.h"

namespace {

using namespace vmm;
using vhost_user_backend::Daemon;
using vhost_user_backend::DeviceBackend;
using vhost_user_frontend::RemoteDevice;
using vhost_user_frontend::RemoteOptions;
using virtio_device::testing::EchoDevice;
using virtio_queue::driver::Buffer;

/// What a daemon is, with an end that can be brought about.
class BackEnd {
 public:
  explicit BackEnd(std::shared_ptr<EchoDevice> device) : workers_({&io_->loop()}) {
    control_->call([&] {
      backend_ = *DeviceBackend::create(
          {.device = std::move(device), .workers = workers_, .control = control_->loop()});
      daemon_.emplace(control_->loop(), *backend_);
    });
  }
  ~BackEnd() {
    control_->call([&] {
      daemon_.reset();
      backend_.reset();
    });
  }
  /// Answers nothing before `end`.
  void hang(std::shared_future<void> end) {
    control_->loop().post([end = std::move(end)] { end.wait(); });
  }
  /// On any thread.
  Result<UniqueFd> connect() {
    VMM_TRY(auto ends, sys_util::unix_socket_pair());
    bool taken = false;
    control_->call(
        [&] { taken = !daemon_->serving() && daemon_->serve(std::move(ends.second)).has_value(); });
    if (!taken) return fail(Error::os(ECONNREFUSED, "test"));
    return std::move(ends.first);
  }

 private:
  std::unique_ptr<event_manager::LoopThread> io_ = *event_manager::LoopThread::create("io");
  virtio_device::LoopWorkers workers_;
  std::unique_ptr<event_manager::LoopThread> control_ =
      *event_manager::LoopThread::create("control");
  std::unique_ptr<DeviceBackend> backend_;
  std::optional<Daemon> daemon_;
};

constexpr std::uint16_t kSize = 16;

struct Machine : vhost_user_frontend::RemoteRig {
  static RemoteOptions options() {
    return {.queue_sizes = {kSize}, .config = std::vector<std::byte>(12)};
  }
  explicit Machine(bool use_packed = false, bool direct = false,
                   const RemoteOptions& chosen = options())
      : packed(use_packed) {
    sink.direct = direct;
    back_end = std::make_unique<BackEnd>(echo);
    put_in(RemoteDevice::create(chosen, [this]() -> Result<UniqueFd> {
      const std::scoped_lock lock(mutex);
      if (!back_end) return fail(Error::os(ECONNREFUSED, "test"));
      return back_end->connect();
    }));
  }
  ~Machine() { end(); }

  std::uint64_t features() const {
    return virtio_device::kFeatureVersion1 | EchoDevice::kFeature |
           (packed ? virtio_queue::kFeaturePacked : 0);
  }
  bool start() {
    negotiate(features());
    const virtio_queue::QueueShape shape{
        .rings = {GuestAddress(0x1'0000), GuestAddress(0x1'1000), GuestAddress(0x1'2000)},
        .size = kSize,
        .packed = packed};
    for (std::uint64_t page = 0x1'0000; page < 0x1'3000; page += 8) {
      (void)memory.view().write(GuestAddress(page), Le64(0));
    }
    driver.emplace(*virtio_queue::driver::Driver::create(shape, memory.view()));
    virtio_queue::QueueConfig* const queue = core->editable_queue(0);
    if (queue == nullptr) return false;
    (void)queue->set_size(kSize);
    (void)queue->set_descriptors(shape.rings.descriptors);
    (void)queue->set_driver(shape.rings.driver);
    (void)queue->set_device(shape.rings.device);
    core->enable_queue(0);
    if (with_own_queue) enable_own_queue();
    core->set_status(15);
    return core->status() == 15;
  }
  void enable_own_queue() {
    virtio_queue::QueueConfig* const queue = core->editable_queue(1);
    REQUIRE(queue != nullptr);
    (void)queue->set_size(kSize);
    (void)queue->set_descriptors(GuestAddress(0x3'0000));
    (void)queue->set_driver(GuestAddress(0x3'1000));
    (void)queue->set_device(GuestAddress(0x3'2000));
    core->enable_queue(1);
  }
  void offer(const std::string& text, std::uint64_t at = 0x2'0000) {
    REQUIRE(memory.view().write_bytes(GuestAddress(at), std::as_bytes(std::span(text))));
    const std::array buffers = {
        Buffer{GuestAddress(at), static_cast<std::uint32_t>(text.size()), false},
        Buffer{GuestAddress(0x2'1000), 64, true}};
    REQUIRE(driver->add(buffers));
    (void)driver->publish();
    core->kick(0);
  }
  std::optional<std::string> answer(int patience_ms = 60'000) {
    for (int i = 0; i < patience_ms; ++i) {
      const auto used = driver->reap();
      REQUIRE(used);
      if (*used) {
        std::string text((*used)->written, '\0');
        (void)memory.view().read_bytes(GuestAddress(0x2'1000),
                                       std::as_writable_bytes(std::span(text)));
        return text;
      }
      ::usleep(1000);
    }
    return std::nullopt;
  }
  Result<void> plug(std::uint64_t base) {
    VMM_TRY_DO(memory.plug(
        {.base = GuestAddress(base), .bytes = 1 << 16, .backing = vm_memory::Backing::kMemfd}));
    return device->memory_changed(memory);
  }
  Result<void> unplug(std::uint64_t base) {
    VMM_TRY_DO(memory.unplug(GuestAddress(base), 1 << 16));
    return device->memory_changed(memory);
  }
  std::optional<std::string> echo_of(const std::string& text, std::uint64_t at = 0x2'0000) {
    offer(text, at);
    return answer();
  }
  void end_back_end() {
    std::unique_ptr<BackEnd> old;
    const std::scoped_lock lock(mutex);
    old.swap(back_end);
  }
  void next_back_end() {
    const std::scoped_lock lock(mutex);
    back_end = std::make_unique<BackEnd>(echo);
  }

  bool packed;
  bool with_own_queue = false;
  std::shared_ptr<EchoDevice> echo = std::make_shared<EchoDevice>(1);
  std::mutex mutex;
  std::unique_ptr<BackEnd> back_end;
  std::optional<virtio_queue::driver::Driver> driver;
};

TEST_CASE("a device that nobody serves says why there is none", "[remote]") {
  const auto none =
      RemoteDevice::create({.type = virtio_device::DeviceType::kBlock, .queue_sizes = {128}},
                           [] { return sys_util::connect_unix("/nowhere/at/all"); });
  REQUIRE_FALSE(none.has_value());
  CHECK(none.error().is_os(ENOENT));
}

TEST_CASE("a driver uses a device in another place", "[remote]") {
  for (const bool packed : {false, true}) {
    for (const bool direct : {false, true}) {
      CAPTURE(packed, direct);
      Machine machine(packed, direct);
      for (int round = 0; round < 2; ++round) {
        REQUIRE(machine.start());
        for (int i = 0; i < 40; ++i) CHECK(machine.echo_of("hello") == "hello");
      }
      if (direct) {
        CHECK(*machine.sink.event.take() > 0);
      } else {
        CHECK(soon([&] { return machine.sink.queue > 0; }));
      }
      CHECK(machine.echo->negotiated() == machine.features());
      machine.core->set_status(0);
      CHECK(machine.echo->workers() == 0);
    }
  }
}

TEST_CASE("interrupts of a device in another place follow the vector of the queue", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  const auto direct = [&machine](bool yes) {
    machine.sink.direct = yes;
    machine.core->interrupts_moved();
    return machine.echo_of("hello") == "hello";
  };
  const auto signalled = [&machine] {
    const auto count = machine.sink.event.take();
    return count && *count > 0;
  };
  CHECK(direct(true));
  CHECK(soon(signalled));
  const int passed_on = machine.sink.queue;
  CHECK(direct(false));
  CHECK(soon([&] { return machine.sink.queue > passed_on; }));
  CHECK(direct(true));
  CHECK(soon(signalled));
}

TEST_CASE("the driver sees what the back end offers and no more", "[remote]") {
  Machine machine;
  CHECK(machine.device->features() == EchoDevice::kFeature);
  CHECK((machine.device->ring_features() & virtio_queue::kFeaturePacked) != 0);
}

TEST_CASE("the configuration space is the back end's", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.echo->fill_config(std::byte{7});
  CHECK(soon([&] { return machine.sink.config > 0; }));
  std::array<std::byte, 12> config{};
  machine.core->read_config(0, config);
  CHECK(config[11] == std::byte{7});
  const std::array written = {std::byte{1}};
  machine.core->write_config(3, written);
  (void)machine.core->config_generation();
  machine.core->read_config(0, config);
  CHECK(config[3] == std::byte{1});
}

TEST_CASE("when the back end ends, the next one goes on", "[remote]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    Machine machine(packed);
    REQUIRE(machine.start());
    for (int round = 0; round < 3; ++round) {
      CHECK(machine.echo_of("before") == "before");
      machine.end_back_end();
      machine.offer("meanwhile");
      ::usleep(150'000);
      CHECK_FALSE(machine.answer(1));
      machine.next_back_end();
      CHECK(machine.answer() == "meanwhile");
      CHECK(machine.echo_of("after") == "after");
    }
    CHECK(machine.core->status() == 15);
  }
}

TEST_CASE("a reset while nobody is there, and a start after it", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.end_back_end();
  machine.core->set_status(0);
  REQUIRE(machine.start());
  machine.offer("b");
  machine.next_back_end();
  CHECK(machine.answer() == "b");
}

TEST_CASE("a configuration space of which this side knows nothing", "[remote]") {
  RemoteOptions options{.queue_sizes = {kSize}};
  options.config_of_back_end = true;
  Machine machine(false, false, options);
  CHECK(machine.device->config_bytes() == vhost_user_frontend::kMostConfig);  // ours fill it up
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.echo->fill_config(std::byte{7});
  CHECK(soon([&] { return machine.sink.config > 0; }));
  (void)machine.core->config_generation();
  std::array<std::byte, EchoDevice::kConfigBytes> config{};
  machine.core->read_config(0, config);
  CHECK(config.back() == std::byte{7});
}

/// Notes what it gets to serve.
struct NotingQueue final : vhost_user_frontend::OwnQueue {
  struct Idle final : virtio_device::Worker {
    Result<void> start(event_manager::EventLoop&) override { return {}; }
  };
  [[nodiscard]] std::uint16_t index(std::uint64_t) const override { return 1; }
  [[nodiscard]] std::uint16_t enabled_at_start(std::uint64_t) const override { return 0; }
  std::unique_ptr<virtio_device::Worker> make_worker(
      virtio_device::Activation activation) override {
    for (const auto& queue : activation.queues) got.push_back(queue.index);
    return std::make_unique<Idle>();
  }

  std::vector<std::uint16_t> got;
};

TEST_CASE("a queue of this side, which says how many of the back end's are enabled", "[remote]") {
  const auto own = std::make_shared<NotingQueue>();
  RemoteOptions options = Machine::options();
  options.queue_sizes = {kSize, kSize};  // the back end has one
  options.own_queue = own;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  CHECK(own->got.empty());
  machine.with_own_queue = true;
  REQUIRE(machine.start());
  CHECK(own->got == std::vector<std::uint16_t>{1});

  machine.offer("a");
  CHECK_FALSE(machine.answer(200));
  REQUIRE(machine.device->enable_queues(1));
  CHECK(machine.answer() == "a");
  REQUIRE(machine.device->enable_queues(0));
  machine.offer("b");
  CHECK_FALSE(machine.answer(200));
  machine.end_back_end();
  machine.next_back_end();
  CHECK_FALSE(machine.answer(500));
  REQUIRE(machine.device->enable_queues(1));
  CHECK(machine.answer() == "b");
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a device that cannot be resumed needs a reset, and starts anew after it", "[remote]") {
  RemoteOptions options = Machine::options();
  options.resumable = false;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  machine.end_back_end();
  REQUIRE(soon([&] { return machine.core->status() != 15; }));
  CHECK(machine.core->status() == (15 | virtio_device::kNeedsReset));
  machine.next_back_end();
  machine.offer("b");
  CHECK_FALSE(machine.answer(300));
  REQUIRE(machine.start());
  CHECK(machine.echo_of("c") == "c");
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a back end that hangs holds up nobody for long, and is left", "[remote][hostile]") {
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  machine.echo->fill_config(std::byte{7});
  std::array<std::byte, 12> config{};
  // The back end tells of the change when it gets to it.
  REQUIRE(soon([&] {
    (void)machine.core->config_generation();
    machine.core->read_config(0, config);
    return config[11] == std::byte{7};
  }));
  std::promise<void> end;
  machine.back_end->hang(end.get_future().share());
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5; ++i) {
    config = {};
    (void)machine.core->config_generation();
    machine.core->read_config(0, config);
    CHECK(config[11] == std::byte{7});  // as it was
  }
  machine.core->write_config(3, config);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  end.set_value();
  CHECK(machine.echo_of("b") == "b");  // by the next connection
  CHECK(machine.core->status() == 15);
}

TEST_CASE("a back end that always answers at the last moment is left", "[remote][hostile]") {
  constexpr std::chrono::milliseconds kAnswer{700};
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  options.resumable = false;
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  // What is asked for as long as it answers is asked by CPUs of the guest, one after the other.
  int slow = 0;
  for (int i = 0; i < 6 && machine.core->status() == 15; ++i) {
    std::promise<void> end;
    machine.back_end->hang(end.get_future().share());
    std::thread later([&] {
      std::this_thread::sleep_for(kAnswer);
      end.set_value();
    });
    const auto begin = std::chrono::steady_clock::now();
    (void)machine.core->config_generation();
    slow += std::chrono::steady_clock::now() - begin > kAnswer / 2 ? 1 : 0;
    later.join();
  }
  CHECK(slow <= 3);
  CHECK(soon([&] { return machine.core->status() != 15; }));
}

TEST_CASE("a driver's reset does not wait for a back end that hangs", "[remote][hostile]") {
  RemoteOptions options = Machine::options();
  options.answer_patience = std::chrono::milliseconds(1000);
  Machine machine(false, false, options);
  REQUIRE(machine.start());
  std::promise<void> end;
  machine.back_end->hang(end.get_future().share());
  const auto begin = std::chrono::steady_clock::now();
  machine.core->set_status(0);
  CHECK(machine.core->status() == 0);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  end.set_value();
  REQUIRE(machine.start());
  CHECK(machine.echo_of("b") == "b");
}

// The back end has the kicks' open files as well, and with them their flags.
TEST_CASE("a back end that makes kicks blocking holds up no vCPU", "[remote][hostile]") {
  Machine machine;
  REQUIRE(machine.start());
  CHECK(machine.echo_of("a") == "a");
  const int kick = machine.core->kick_fd(0);
  const auto fill = [kick](std::uint64_t value) {
    std::uint64_t old = 0;
    (void)!::read(kick, &old, sizeof(old));
    if (value != 0) REQUIRE(::write(kick, &value, sizeof(value)) == sizeof(value));
    REQUIRE(::fcntl(kick, F_SETFL, ::fcntl(kick, F_GETFL) & ~O_NONBLOCK) == 0);
  };
  const auto in_time = [&](const std::function<void()>& work, const std::function<void()>& help) {
    auto done = std::async(std::launch::async, work);
    const bool ready = done.wait_for(std::chrono::seconds(30)) == std::future_status::ready;
    if (!ready) help();
    return ready;
  };
  std::uint64_t one = 1;
  fill(0);
  CHECK(in_time([&] { machine.core->set_status(0); },
                [&] { (void)!::write(kick, &one, sizeof(one)); }));
  REQUIRE(machine.start());
  fill(~std::uint64_t{0} - 1);
  CHECK(in_time([&] { machine.core->kick(0); }, [&] { (void)!::read(kick, &one, sizeof(one)); }));
  REQUIRE(machine.start());  // the counter is of use again
  CHECK(machine.echo_of("b") == "b");
}

TEST_CASE("a running back end is told of memory that comes and goes", "[remote]") {
  constexpr std::uint64_t kPlugged = 0x100'0000;
  Machine machine;
  REQUIRE(machine.plug(kPlugged));  // nobody needs to know yet
  REQUIRE(machine.start());
  CHECK(machine.echo_of("before", kPlugged) == "before");
  for (std::uint64_t i = 1; i < 12; ++i) {  // more than one table has
    REQUIRE(machine.plug(kPlugged + (i << 20)));
    CHECK(machine.echo_of("new", kPlugged + (i << 20)) == "new");
  }
  CHECK(machine.echo_of("old", kPlugged) == "old");

  const std::weak_ptr<const vm_memory::Region> region =
      machine.memory.snapshot()->regions()[3];  // at kPlugged + 2 MiB
  REQUIRE(machine.unplug(kPlugged + (2 << 20)));
  CHECK(region.expired());
  REQUIRE(machine.plug(kPlugged + (2 << 20)));  // another one in its place
  CHECK(machine.echo_of("next", kPlugged + (2 << 20)) == "next");
  CHECK_FALSE(machine.plug(kPlugged));  // there is one

  REQUIRE(machine.start());  // after a reset, with all of them
  CHECK(machine.echo_of("again", kPlugged + (11 << 20)) == "again");
  for (std::uint64_t i = 0; i < 12; ++i) REQUIRE(machine.unplug(kPlugged + (i << 20)));
  CHECK(machine.echo_of("less") == "less");

  machine.end_back_end();
  REQUIRE(machine.plug(kPlugged));  // the next one is told
  machine.next_back_end();
  CHECK(machine.echo_of("elsewhere", kPlugged) == "elsewhere");
}

TEST_CASE("memory without a file is not told of, and the device goes on", "[remote]") {
  Machine machine;
  REQUIRE(machine.start());
  REQUIRE(machine.memory.plug({.base = GuestAddress(0x100'0000), .bytes = 1 << 16}));
  CHECK(machine.device->memory_changed(machine.memory).error().is_os(EINVAL));
  CHECK(machine.echo_of("still") == "still");
}

TEST_CASE("guest memory that cannot be shared is refused", "[remote]") {
  Machine machine;
  vm_memory::RegionConfig plain{.base = GuestAddress(0x1'0000), .bytes = 1 << 20};
  machine.memory.replace(vm_memory::GuestMemory::create({&plain, 1})->snapshot());
  CHECK_FALSE(machine.start());
}

}  // namespace
