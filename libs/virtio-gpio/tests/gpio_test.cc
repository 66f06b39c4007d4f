// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/gpio.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <vector>

#include "gpio_board.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_gpio {
namespace {

using namespace testing;
using virtio_device::testing::HostileChain;

constexpr std::uint32_t kNone = 0;
constexpr std::uint32_t kOut = 1;
constexpr std::uint32_t kIn = 2;

TEST_CASE("the configuration says how many lines and how long their names are", "[gpio]") {
  Board board;
  CHECK(board.rig.config<std::uint16_t>(0) == 6);
  CHECK(board.rig.config<std::uint16_t>(2) == 0);
  CHECK(board.rig.config<std::uint32_t>(4) == 11);
  board.rig.set_config<std::uint16_t>(0, 9);
  CHECK(board.rig.config<std::uint16_t>(0) == 6);
}

TEST_CASE("names come as one block", "[gpio]") {
  using namespace std::string_literals;
  Board board;
  const auto request = Board::request(Message::kGetLineNames, 0, 0);
  const auto answer = board.rig.exchange(kRequests, {.readable = {request}, .writable = {1, 11}});
  REQUIRE(answer);
  CHECK(answer->written == 12);
  CHECK(std::string(reinterpret_cast<const char*>(answer->bytes.data()), 12) ==
        "\0in\0\0led\0\0\0\0"s);
  const auto too_short =
      board.rig.exchange(kRequests, {.readable = {request}, .writable = {1, 10}});
  REQUIRE(too_short);
  CHECK(too_short->written == 1);
  CHECK(too_short->at<std::uint8_t>(0) == 1);
}

TEST_CASE("a chip without names has none to give", "[gpio]") {
  DeviceRig rig(*Gpio::create(*SimulatedChip::create({.lines = 2, .names = {}})));
  REQUIRE(rig.start());
  CHECK(rig.config<std::uint32_t>(4) == 0);
  const auto answer = rig.exchange(
      kRequests, {.readable = {Board::request(Message::kGetLineNames, 0, 0)}, .writable = {64}});
  REQUIRE(answer);
  CHECK(answer->written == 1);
  CHECK(answer->at<std::uint8_t>(0) == 1);
}

TEST_CASE("a line has the direction that the driver gave it", "[gpio]") {
  for (const bool packed : {false, true}) {
    Board board({.packed = packed, .features = kFeatureIrq});
    CHECK(board.say(Message::kGetDirection, 0) == Said{0, 0});
    CHECK(board.say(Message::kSetDirection, 0, kIn) == kOk);
    CHECK(board.say(Message::kGetDirection, 0) == Said{0, 2});
    CHECK(board.chip->direction(0) == Direction::kIn);
    CHECK(board.say(Message::kSetDirection, 0, kOut) == kOk);
    CHECK(board.say(Message::kGetDirection, 0) == Said{0, 1});
    CHECK(board.chip->direction(0) == Direction::kOut);
    CHECK(board.say(Message::kSetDirection, 0, kNone) == kOk);
    CHECK(board.say(Message::kGetDirection, 0) == Said{0, 0});
    CHECK(board.chip->direction(0) == Direction::kNone);
  }
}

TEST_CASE("an output drives, an input senses", "[gpio]") {
  Board board;
  CHECK(board.say(Message::kSetDirection, 0, kIn) == kOk);
  CHECK(board.say(Message::kSetDirection, 1, kOut) == kOk);
  for (const std::uint32_t value : {1u, 0u, 1u}) {
    CHECK(board.say(Message::kSetValue, 1, value) == kOk);
    CHECK(board.say(Message::kGetValue, 0) == Said{0, static_cast<int>(value)});
    CHECK(board.say(Message::kGetValue, 1) == Said{0, static_cast<int>(value)});
  }
}

TEST_CASE("a value set before is the first that an output has", "[gpio]") {
  Board board;
  CHECK(board.say(Message::kSetValue, 1, 1) == kOk);
  CHECK(board.chip->direction(1) == Direction::kNone);
  CHECK_FALSE(*board.chip->value(0));
  CHECK(board.say(Message::kSetDirection, 1, kOut) == kOk);
  CHECK(*board.chip->value(0));
  SECTION("also when the line was an input between") {
    CHECK(board.say(Message::kSetDirection, 1, kIn) == kOk);
    CHECK_FALSE(*board.chip->value(0));
    CHECK(board.say(Message::kSetDirection, 1, kOut) == kOk);
    CHECK(*board.chip->value(0));
  }
  SECTION("not when it was let go: all state is discarded") {
    CHECK(board.say(Message::kSetDirection, 1, kNone) == kOk);
    CHECK(board.say(Message::kSetDirection, 1, kOut) == kOk);
    CHECK_FALSE(*board.chip->value(0));
  }
}

TEST_CASE("a line without direction has a value", "[gpio]") {
  Board board;
  board.chip->drive(4, true);
  CHECK(board.say(Message::kGetValue, 4) == Said{0, 1});
}

TEST_CASE("all lines are let go with a reset", "[gpio]") {
  Board board;
  CHECK(board.say(Message::kSetDirection, 1, kOut) == kOk);
  CHECK(board.say(Message::kSetDirection, 2, kIn) == kOk);
  board.rig.reset();
  CHECK(board.chip->direction(1) == Direction::kNone);
  CHECK(board.chip->direction(2) == Direction::kNone);
  REQUIRE(board.rig.start());
  CHECK(board.say(Message::kGetDirection, 1) == Said{0, 0});
}

TEST_CASE("requests that make no sense have the status ERR", "[gpio][hostile]") {
  struct Row {
    const char* name;
    int message;
    int line;
    std::uint32_t value;
  };
  Board board;
  for (const Row& row :
       {Row{"message 0", 0, 0, 0}, Row{"message 7", 7, 0, 0}, Row{"message 0xffff", 0xffff, 0, 0},
        Row{"line 6", 2, 6, 0}, Row{"line 0xffff", 4, 0xffff, 0}, Row{"direction 3", 3, 0, 3},
        Row{"direction 0x100", 3, 0, 0x100}, Row{"value 2", 5, 0, 2},
        Row{"value 0x10000", 5, 0, 0x1'0000}, Row{"type 5", 6, 0, 5}, Row{"type 7", 6, 0, 7},
        Row{"type 9", 6, 0, 9}, Row{"type 0x104", 6, 0, 0x104}, Row{"irq line 6", 6, 6, 1}}) {
    CAPTURE(row.name);
    CHECK(board.say(static_cast<Message>(row.message), row.line, row.value) == kError);
    CHECK(board.chip->direction(0) == Direction::kNone);
  }
  CHECK(board.works());
}

TEST_CASE("requests of another form do nothing", "[gpio][hostile]") {
  Board board;
  const Bytes request = Board::request(Message::kSetDirection, 0, kOut);
  const auto half = board.rig.exchange(
      kRequests, {.readable = {Bytes(request.begin(), request.begin() + 7)}, .writable = {2}});
  REQUIRE(half);
  CHECK(half->written == 2);
  CHECK(half->at<std::uint8_t>(0) == 1);
  const auto no_value = board.rig.exchange(kRequests, {.readable = {request}, .writable = {1}});
  REQUIRE(no_value);
  CHECK(no_value->written == 1);
  CHECK(no_value->at<std::uint8_t>(0) == 1);
  const auto no_room = board.rig.exchange(kRequests, {.readable = {request}, .writable = {}});
  REQUIRE(no_room);
  CHECK(no_room->written == 0);
  CHECK(board.chip->direction(0) == Direction::kNone);
}

/// A chip of which nothing works.
class BrokenChip final : public Chip {
 public:
  [[nodiscard]] std::uint16_t lines() const override { return lines_; }
  [[nodiscard]] std::string name(std::uint16_t) const override { return {}; }
  Result<void> set_direction(std::uint16_t, Direction, bool) override { return broken(); }
  Result<bool> value(std::uint16_t) override { return broken(); }
  Result<void> set_value(std::uint16_t, bool) override { return broken(); }
  Result<void> watch(std::uint16_t, Edges) override { return broken(); }
  [[nodiscard]] int edges_fd() const override { return wake_.fd(); }
  std::size_t take_edges(std::span<std::uint16_t>) override { return 0; }

  explicit BrokenChip(std::uint16_t lines) : lines_(lines) {}

 private:
  static Unexpected<Error> broken() { return fail(Error::os(EIO, "a broken chip")); }

  std::uint16_t lines_;
  sys_util::EventFd wake_ = *sys_util::EventFd::create();
};

TEST_CASE("what a chip cannot do has the status ERR", "[gpio]") {
  DeviceRig rig(*Gpio::create(std::make_shared<BrokenChip>(4)), {.features = kFeatureIrq});
  REQUIRE(rig.start());
  const auto fails = [&](Message message, std::uint32_t value) {
    const auto answer =
        rig.exchange(kRequests, {.readable = {Board::request(message, 1, value)}, .writable = {2}});
    REQUIRE(answer);
    return answer->at<std::uint8_t>(0) == 1;
  };
  CHECK(fails(Message::kSetDirection, kOut));
  CHECK(fails(Message::kSetDirection, kIn));
  CHECK(fails(Message::kGetValue, 0));
  CHECK(fails(Message::kSetIrqType, 1));
  CHECK_FALSE(fails(Message::kSetDirection, kNone));
}

TEST_CASE("what a GPIO device is", "[gpio]") {
  const auto device = *Gpio::create(*SimulatedChip::create({.lines = 1, .names = {}}));
  CHECK(device->type() == virtio_device::DeviceType::kGpio);
  CHECK(device->features() == kFeatureIrq);
  CHECK(std::ranges::equal(device->queue_sizes(), std::array{256, 1024}));
  CHECK(device->state_owner() != nullptr);
}

/// What a device saves that is stopped to go on elsewhere: its workers run on this thread, and a
/// drained one changes nothing any more.
std::vector<std::byte> state_of(DeviceRig& rig) {
  rig.drain();
  return rig.core().device().state_owner()->save_state();
}

TEST_CASE("a device goes on with the lines of another one", "[gpio]") {
  Board before;
  REQUIRE(before.say(Message::kSetValue, 1, 1) == kOk);
  REQUIRE(before.say(Message::kSetDirection, 1, kOut) == kOk);
  REQUIRE(before.say(Message::kSetDirection, 2, kIn) == kOk);
  REQUIRE(before.set_irq(4, IrqType::kRisingEdge) == kOk);
  REQUIRE(before.set_irq(5, IrqType::kFallingEdge) == kOk);
  before.chip->drive(4, true);
  before.rig.run();
  const std::uint16_t unmasked = before.unmask(5);
  const auto state = state_of(before.rig);
  CHECK(before.came(unmasked, IrqStatus::kValid));

  for (const std::uint64_t features : {kFeatureIrq, std::uint64_t{0}}) {
    CAPTURE(features);
    const auto chip = *SimulatedChip::create({.lines = 6, .names = {}});
    DeviceRig rig(*Gpio::create(chip), {.features = features});
    REQUIRE(rig.core().device().state_owner()->load_state(state));
    CHECK(rig.core().device().state_owner()->save_state() == state);
    REQUIRE(rig.start());
    CHECK(chip->direction(0) == Direction::kNone);
    CHECK(chip->direction(1) == Direction::kOut);
    CHECK(*chip->value(0));  // the other end of the wire
    CHECK(chip->direction(2) == Direction::kIn);
    CHECK(chip->direction(4) == Direction::kIn);
    const auto unmask = [&](std::byte line) {
      REQUIRE(rig.send(kEvents, {.readable = {{line, {}}}, .writable = {1}}));
      rig.run();
      return rig.receive(kEvents);
    };
    if (features == 0) continue;
    const auto latched = unmask(std::byte{4});
    REQUIRE(latched);
    CHECK(latched->at<IrqStatus>(0) == IrqStatus::kValid);
    CHECK_FALSE(unmask(std::byte{5}));
    chip->drive(5, true);
    chip->drive(5, false);
    rig.run();
    const auto edge = rig.receive(kEvents);
    REQUIRE(edge);
    CHECK(edge->at<IrqStatus>(0) == IrqStatus::kValid);
  }
}

TEST_CASE("a state that is no state of such lines is refused, and changes nothing",
          "[gpio][hostile]") {
  const auto device = *Gpio::create(*SimulatedChip::create({.lines = 2, .names = {}}));
  virtio_device::StateOwner& owner = *device->state_owner();
  const Bytes good{std::byte{2}, {}, std::byte{1}, std::byte{1}, {}, {}, {}, {}};
  REQUIRE(owner.load_state(good));
  Bytes bad = good;
  SECTION("too short") { bad.pop_back(); }
  SECTION("of more lines") { bad.resize(12); }
  SECTION("an output with an interrupt") { bad[0] = std::byte{1}; }
  const auto done = owner.load_state(bad);
  REQUIRE_FALSE(done);
  CHECK(done.error().is_os(EINVAL));
  CHECK(owner.save_state() == good);
}

TEST_CASE("lines that a chip does not give again end a device's start", "[gpio]") {
  for (const bool with_irq : {false, true}) {
    DeviceRig rig(*Gpio::create(std::make_shared<BrokenChip>(1)), {.features = kFeatureIrq});
    const Bytes input{std::byte{2}, {}, std::byte{with_irq}, {}};
    REQUIRE(rig.core().device().state_owner()->load_state(input));
    CHECK_FALSE(rig.start());
    rig.reset();
    CHECK(rig.start());
  }
}

TEST_CASE("a GPIO device outlives each hostile chain", "[gpio][hostile]") {
  for (const bool packed : {false, true}) {
    Board board({.packed = packed, .features = kFeatureIrq | virtio_queue::kFeatureIndirect});
    for (const std::uint16_t queue : {kRequests, kEvents}) {
      for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
        CAPTURE(packed, queue, chain.name);
        CHECK(outlive(board.rig, queue, chain) == "");
        CHECK(board.works());
      }
    }
  }
}

TEST_CASE("what makes no device", "[gpio]") {
  CHECK_FALSE(Gpio::create(nullptr));
  CHECK_FALSE(Gpio::create(std::make_shared<BrokenChip>(0)));
  CHECK_FALSE(Gpio::create(std::make_shared<BrokenChip>(Gpio::kMaxLines + 1)));
  CHECK(Gpio::create(std::make_shared<BrokenChip>(Gpio::kMaxLines)));
}

}  // namespace
}  // namespace vmm::virtio_gpio
