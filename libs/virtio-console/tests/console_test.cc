// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/console.h"

#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_console {
namespace {

using virtio_device::testing::Bytes;
using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;
using virtio_device::testing::RigOptions;

constexpr std::uint16_t kReceive = 0;
constexpr std::uint16_t kTransmit = 1;

/// Keeps what is written, up to a limit that a test may raise.
class Paper final : public ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t taken = std::min(bytes.size(), limit - text.size());
    for (const std::byte b : bytes.first(taken)) text += static_cast<char>(b);
    return taken;
  }
  [[nodiscard]] int room_fd() const override { return waits ? room.fd() : -1; }
  void make_room(std::size_t new_limit) {
    limit = new_limit;
    (void)room.add();
  }

  std::string text;
  std::size_t limit = ~std::size_t{0};
  bool waits = true;
  // An eventfd is writable unless its counter is full.
  sys_util::EventFd room = *sys_util::EventFd::create();
};

struct Desk {
  explicit Desk(const RigOptions& options = {}, std::size_t capacity = 64)
      : device(*Console::create(
            {.output = &paper, .capacity = capacity, .size = {.columns = 80, .rows = 25}})),
        rig(device, options) {
    REQUIRE(rig.start());
  }
  [[nodiscard]] bool type(std::string_view text) {
    return device->enqueue(std::as_bytes(std::span(text)));
  }
  /// What the driver gets in a buffer of `room` bytes; "?" when nothing comes.
  std::string read(std::uint32_t room) {
    const auto answer = rig.exchange(kReceive, {.readable = {}, .writable = {room}});
    return answer ? text_of(*answer) : "?";
  }
  static std::string text_of(const virtio_device::testing::Answer& answer) {
    std::string text;
    for (std::uint32_t i = 0; i < answer.written; ++i) text += answer.at<char>(i);
    return text;
  }
  [[nodiscard]] bool print(std::string_view text) {
    const auto answer = rig.exchange(kTransmit, {.readable = {bytes_of(text)}, .writable = {}});
    return answer && answer->written == 0;
  }

  Paper paper;
  std::shared_ptr<Console> device;
  DeviceRig rig;
};

RigOptions options_of(unsigned bits) {
  return {.packed = (bits & 1) != 0, .event_idx = (bits & 2) != 0, .queue_size = 8};
}

TEST_CASE("what the driver prints appears on the output", "[console]") {
  for (unsigned bits = 0; bits < 4; ++bits) {
    CAPTURE(bits);
    Desk desk(options_of(bits));
    std::string all;
    for (int i = 0; i < 30; ++i) {
      const std::string line = "line " + std::to_string(i) + "\n";
      REQUIRE(desk.print(line));
      all += line;
    }
    CHECK(desk.paper.text == all);
  }
}

TEST_CASE("output in pieces, and more than any buffer of ours", "[console]") {
  Desk desk;
  const std::string big(10'000, 'x');
  REQUIRE(desk.rig.exchange(
      kTransmit, {.readable = {bytes_of("a"), bytes_of(big), bytes_of("b")}, .writable = {}}));
  CHECK(desk.paper.text == "a" + big + "b");
}

TEST_CASE("a full output makes the driver wait, and loses nothing", "[console]") {
  for (unsigned bits = 0; bits < 4; ++bits) {
    CAPTURE(bits);
    Desk desk(options_of(bits));
    desk.paper.limit = 3;
    // The counter is full: not writable, until the test takes it.
    REQUIRE(desk.paper.room.add(~std::uint64_t{0} - 1));
    REQUIRE(desk.rig.send(kTransmit, {.readable = {bytes_of("hello ")}, .writable = {}}));
    REQUIRE(desk.rig.send(kTransmit, {.readable = {bytes_of("world")}, .writable = {}}));
    desk.rig.run();
    CHECK(desk.paper.text == "hel");
    CHECK_FALSE(desk.rig.receive(kTransmit));
    desk.paper.limit = 100;
    (void)desk.paper.room.take();
    REQUIRE(desk.rig.wait(kTransmit));
    REQUIRE(desk.rig.wait(kTransmit));
    CHECK(desk.paper.text == "hello world");
  }
}

TEST_CASE("an output that never gets room loses the rest, not the console", "[console]") {
  Desk desk;
  desk.paper.waits = false;
  desk.paper.limit = 3;
  REQUIRE(desk.print("hello"));
  CHECK(desk.paper.text == "hel");
  desk.paper.limit = 5;
  REQUIRE(desk.print("p!"));
  CHECK(desk.paper.text == "help!");
}

TEST_CASE("a reset while the output is full forgets the rest", "[console]") {
  Desk desk;
  desk.paper.limit = 2;
  REQUIRE(desk.paper.room.add(~std::uint64_t{0} - 1));
  REQUIRE(desk.rig.send(kTransmit, {.readable = {bytes_of("old")}, .writable = {}}));
  desk.rig.run();
  REQUIRE(desk.rig.start());
  desk.paper.limit = 100;
  (void)desk.paper.room.take();
  REQUIRE(desk.print("new"));
  CHECK(desk.paper.text == "olnew");
}

TEST_CASE("input reaches the driver in order, however it is cut", "[console]") {
  for (unsigned bits = 0; bits < 4; ++bits) {
    CAPTURE(bits);
    Desk desk(options_of(bits));
    REQUIRE(desk.type("hello "));
    REQUIRE(desk.type("world"));
    CHECK(desk.read(3) == "hel");
    CHECK(desk.read(100) == "lo world");
  }
}

TEST_CASE("a driver that waits gets input when it comes", "[console]") {
  Desk desk;
  REQUIRE(desk.rig.send(kReceive, {.readable = {}, .writable = {16}}));
  desk.rig.run();
  CHECK_FALSE(desk.rig.receive(kReceive));
  REQUIRE(desk.type("x"));
  const auto answer = desk.rig.wait(kReceive);
  REQUIRE(answer);
  CHECK(Desk::text_of(*answer) == "x");
}

TEST_CASE("input has room for its capacity, and says when there is room again", "[console]") {
  Desk desk({}, 8);
  int told = 0;
  desk.device->set_on_space([&] { ++told; });
  CHECK(desk.device->space() == 8);
  REQUIRE(desk.type("12345678"));
  CHECK_FALSE(desk.type("9"));
  CHECK(desk.device->space() == 0);
  CHECK(desk.read(4) == "1234");
  CHECK(told == 1);
  CHECK(desk.device->space() == 4);
  CHECK(desk.read(4) == "5678");
  CHECK(told == 1);  // nobody had asked again
}

TEST_CASE("input that came before the driver is kept", "[console]") {
  Paper paper;
  const auto device = *Console::create({.output = &paper, .capacity = 16, .size = {}});
  const std::string_view text = "early";
  REQUIRE(device->enqueue(std::as_bytes(std::span(text))));
  DeviceRig rig(device);
  REQUIRE(rig.start());
  const auto answer = rig.exchange(kReceive, {.readable = {}, .writable = {16}});
  REQUIRE(answer);
  CHECK(Desk::text_of(*answer) == "early");
}

TEST_CASE("the size of the terminal and its changes", "[console]") {
  Desk desk({.features = kFeatureSize});
  CHECK(desk.rig.config<Le16>(0).get() == 80);
  CHECK(desk.rig.config<Le16>(2).get() == 25);
  CHECK(desk.rig.config<Le32>(4).get() == 1);
  CHECK(desk.rig.config_interrupts() == 1);  // the driver is told at its start
  const std::uint32_t generation = desk.rig.core().config_generation();
  desk.device->resize({.columns = 132, .rows = 43});
  CHECK(desk.rig.config_interrupts() == 2);
  CHECK(desk.rig.core().config_generation() != generation);
  CHECK(desk.rig.config<Le16>(0).get() == 132);
  CHECK(desk.rig.config<Le16>(2).get() == 43);
  desk.device->resize({.columns = 132, .rows = 43});
  CHECK(desk.rig.config_interrupts() == 2);
  desk.rig.reset();
  desk.device->resize({.columns = 90, .rows = 30});
  CHECK(desk.rig.config_interrupts() == 2);
  REQUIRE(desk.rig.start());
  CHECK(desk.rig.config_interrupts() == 3);
  CHECK(desk.rig.config<Le16>(0).get() == 90);
}

TEST_CASE("nobody is told of a size that is not known, or that he does not ask for", "[console]") {
  Paper paper;
  const auto device = *Console::create({.output = &paper, .capacity = 16, .size = {}});
  DeviceRig rig(device, {.features = kFeatureSize});
  REQUIRE(rig.start());
  CHECK(rig.config_interrupts() == 0);
  Desk desk;  // its driver has not chosen the feature
  desk.device->resize({.columns = 132, .rows = 43});
  CHECK(desk.rig.config_interrupts() == 0);
}

TEST_CASE("an emergency write prints one character, whatever its width", "[console]") {
  Desk desk;
  desk.rig.set_config(8, Le32('!'));
  desk.rig.set_config(8, std::uint8_t{'?'});
  desk.rig.set_config(9, std::uint8_t{'x'});  // not the field's first byte
  desk.rig.set_config(0, Le16(7));            // read-only
  CHECK(desk.paper.text == "!?");
  CHECK(desk.rig.config<Le16>(0).get() == 80);
  desk.rig.reset();
  desk.rig.set_config(8, Le32('.'));  // before there is a driver
  CHECK(desk.paper.text == "!?.");
}

TEST_CASE("buffers of the wrong kind come back with nothing", "[console][hostile]") {
  Desk desk;
  REQUIRE(desk.type("input"));
  const auto both = desk.rig.exchange(kReceive, {.readable = {bytes_of("?")}, .writable = {16}});
  REQUIRE(both);
  CHECK(both->written == 0);
  CHECK(desk.read(16) == "input");
  const auto answer = desk.rig.exchange(kTransmit, {.readable = {bytes_of("x")}, .writable = {16}});
  REQUIRE(answer);
  CHECK(answer->written == 0);
  CHECK(desk.paper.text.empty());
}

TEST_CASE("a console outlives each hostile chain on both queues", "[console][hostile]") {
  for (unsigned bits = 0; bits < 4; ++bits) {
    Desk desk(options_of(bits));
    for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(bits, chain.name);
      REQUIRE(desk.type("0123456789"));
      CHECK(outlive(desk.rig, kTransmit, chain) == "");
      CHECK(outlive(desk.rig, kReceive, chain) == "");
      CHECK(desk.print("still here"));
      std::string rest;
      while (desk.device->space() != 64) rest += desk.read(64);
      CHECK(std::string_view("0123456789").ends_with(rest));
    }
  }
}

TEST_CASE("options that make no console", "[console]") {
  Paper paper;
  CHECK_FALSE(Console::create({.output = nullptr, .capacity = 1, .size = {}}));
  CHECK_FALSE(Console::create({.output = &paper, .capacity = 0, .size = {}}));
  CHECK_FALSE(
      Console::create({.output = &paper, .capacity = Console::kMaxCapacity + 1, .size = {}}));
  CHECK(Console::create({.output = &paper, .capacity = Console::kMaxCapacity, .size = {}}));
}

/// Counts what is written.
class Meter final : public ConsoleOutput {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    count += bytes.size();
    return bytes.size();
  }
  [[nodiscard]] int room_fd() const override { return -1; }
  std::uint64_t count = 0;
};

TEST_CASE("a buffer of any size leaves others their turn", "[console][hostile]") {
  Meter meter;
  DeviceRig rig(*Console::create({.output = &meter}), {.packed = GENERATE(false, true)});
  REQUIRE(rig.start());
  rig.run();
  constexpr std::uint32_t kPart = 8 << 20;
  constexpr std::size_t kParts = 64;
  const std::vector<virtio_device::testing::Buffer> parts(
      kParts, {.address = rig.heap().take(kPart), .length = kPart});
  const auto token = rig.send_raw(kTransmit, parts);
  REQUIRE(token);
  std::uint64_t turns = 0;
  while (meter.count < std::uint64_t{kPart} * kParts) {
    const std::uint64_t before = meter.count;
    REQUIRE(rig.loop().run_once(std::chrono::milliseconds(0)));
    REQUIRE(meter.count > before);
    REQUIRE(meter.count - before <= 1 << 20);
    ++turns;
  }
  CHECK(turns >= 512);
  rig.run();
  CHECK(rig.receive(kTransmit));
  CHECK(meter.count == std::uint64_t{kPart} * kParts);
  CHECK(rig.exchange(kTransmit, {.readable = {bytes_of("x")}, .writable = {}}));
}

TEST_CASE("a chain as long as the queue is one, both ways", "[console]") {
  Desk desk({.packed = GENERATE(false, true), .queue_size = Console::kQueueSize},
            Console::kMaxCapacity);
  const std::vector<Bytes> letters(Console::kQueueSize, bytes_of("x"));
  REQUIRE(desk.rig.exchange(kTransmit, {.readable = letters, .writable = {}}));
  CHECK(desk.paper.text == std::string(Console::kQueueSize, 'x'));
  REQUIRE(desk.type(std::string(Console::kQueueSize, 'y')));
  const auto answer = desk.rig.exchange(
      kReceive, {.readable = {}, .writable = std::vector<std::uint32_t>(Console::kQueueSize, 1)});
  REQUIRE(answer);
  CHECK(Desk::text_of(*answer) == std::string(Console::kQueueSize, 'y'));
}

}  // namespace
}  // namespace vmm::virtio_console
