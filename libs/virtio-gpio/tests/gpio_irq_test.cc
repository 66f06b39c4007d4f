// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// Interrupts: virtio 1.3, 5.18.6.6 and 5.18.7.

#include <catch2/catch.hpp>

#include "gpio_board.h"

namespace vmm::virtio_gpio {
namespace {

using namespace testing;

constexpr std::uint32_t kOut = 1;
constexpr std::uint32_t kIn = 2;

/// Line 4 as an input with an interrupt.
struct IrqBoard : Board {
  explicit IrqBoard(IrqType type, RigOptions options = {.features = kFeatureIrq}) : Board(options) {
    REQUIRE(say(Message::kSetDirection, 4, kIn) == kOk);
    REQUIRE(set_irq(4, type) == kOk);
  }
  void drive(std::initializer_list<bool> levels) {
    for (const bool high : levels) {
      chip->drive(4, high);
      rig.run();
    }
  }
};

TEST_CASE("an unmasked line tells of the edges of its type", "[irq]") {
  struct Row {
    IrqType type;
    bool rising, falling;
  };
  for (const Row& row :
       {Row{IrqType::kRisingEdge, true, false}, Row{IrqType::kFallingEdge, false, true},
        Row{IrqType::kBothEdges, true, true}}) {
    for (const bool packed : {false, true}) {
      CAPTURE(static_cast<int>(row.type), packed);
      IrqBoard board(row.type, {.packed = packed, .features = kFeatureIrq});
      std::uint16_t buffer = board.unmask(4);
      CHECK_FALSE(board.event());
      board.drive({true});
      if (row.rising) {
        CHECK(board.came(buffer, IrqStatus::kValid));
        buffer = board.unmask(4);
      }
      CHECK_FALSE(board.event());
      board.drive({false});
      CHECK(board.event().has_value() == row.falling);
    }
  }
}

TEST_CASE("an edge while the line is masked is latched, once", "[irq]") {
  IrqBoard board(IrqType::kRisingEdge);
  SECTION("before it is unmasked first") {
    board.drive({true, false, true, false});
    CHECK(board.came(board.unmask(4), IrqStatus::kValid));
    board.unmask(4);
    CHECK_FALSE(board.event());
  }
  SECTION("after it has told") {
    const std::uint16_t buffer = board.unmask(4);
    board.drive({true});
    CHECK(board.came(buffer, IrqStatus::kValid));
    board.drive({false, true, false, true});
    CHECK_FALSE(board.event());
    CHECK(board.came(board.unmask(4), IrqStatus::kValid));
    board.unmask(4);
    CHECK_FALSE(board.event());
  }
}

TEST_CASE("a level tells as long as it is there, once for each unmasking", "[irq]") {
  for (const IrqType type : {IrqType::kHighLevel, IrqType::kLowLevel}) {
    CAPTURE(static_cast<int>(type));
    const bool active = type == IrqType::kHighLevel;
    Board board;
    board.chip->drive(4, !active);
    REQUIRE(board.say(Message::kSetDirection, 4, kIn) == kOk);
    REQUIRE(board.set_irq(4, type) == kOk);
    const std::uint16_t buffer = board.unmask(4);
    CHECK_FALSE(board.event());
    board.chip->drive(4, active);
    CHECK(board.came(buffer, IrqStatus::kValid));
    CHECK(board.came(board.unmask(4), IrqStatus::kValid));
    CHECK(board.came(board.unmask(4), IrqStatus::kValid));
    board.chip->drive(4, !active);
    board.unmask(4);
    CHECK_FALSE(board.event());
  }
}

TEST_CASE("a level that came and went while the line was masked is not told", "[irq]") {
  IrqBoard board(IrqType::kHighLevel);
  board.drive({true, false});
  board.unmask(4);
  CHECK_FALSE(board.event());
}

TEST_CASE("a buffer comes back when its interrupt is disabled", "[irq]") {
  IrqBoard board(IrqType::kBothEdges);
  const std::uint16_t buffer = board.unmask(4);
  SECTION("by its type") { REQUIRE(board.set_irq(4, IrqType::kNone) == kOk); }
  SECTION("by letting the line go") { REQUIRE(board.say(Message::kSetDirection, 4, 0) == kOk); }
  CHECK(board.came(buffer, IrqStatus::kInvalid));
  board.drive({true});
  CHECK_FALSE(board.event());
}

TEST_CASE("what was latched is forgotten when the interrupt is disabled", "[irq]") {
  IrqBoard board(IrqType::kBothEdges);
  board.drive({true});
  SECTION("by its type") { REQUIRE(board.set_irq(4, IrqType::kNone) == kOk); }
  SECTION("by letting the line go") { REQUIRE(board.say(Message::kSetDirection, 4, 0) == kOk); }
  REQUIRE(board.set_irq(4, IrqType::kRisingEdge) == kOk);
  board.unmask(4);
  CHECK_FALSE(board.event());
  board.drive({false, true});
  CHECK(board.event());
}

TEST_CASE("a buffer for a line whose interrupt is not enabled comes back", "[irq]") {
  Board board;
  CHECK(board.came(board.unmask(4), IrqStatus::kInvalid));
  REQUIRE(board.say(Message::kSetDirection, 4, kIn) == kOk);
  CHECK(board.came(board.unmask(4), IrqStatus::kInvalid));
}

TEST_CASE("a second buffer for a line comes back, the first stays", "[irq][hostile]") {
  IrqBoard board(IrqType::kRisingEdge);
  const std::uint16_t first = board.unmask(4);
  CHECK(board.came(board.unmask(4), IrqStatus::kInvalid));
  board.drive({true});
  CHECK(board.came(first, IrqStatus::kValid));
}

TEST_CASE("buffers that name no line come back", "[irq][hostile]") {
  IrqBoard board(IrqType::kRisingEdge);
  for (const int line : {6, 7, 0x8000, 0xffff}) {
    CAPTURE(line);
    CHECK(board.came(board.unmask(line), IrqStatus::kInvalid));
  }
  const auto half = board.rig.exchange(kEvents, {.readable = {Bytes(1)}, .writable = {1}});
  REQUIRE(half);
  CHECK(half->at<IrqStatus>(0) == IrqStatus::kInvalid);
  const auto no_room = board.rig.exchange(kEvents, {.readable = {Bytes(2)}, .writable = {}});
  REQUIRE(no_room);
  CHECK(no_room->written == 0);
  const std::uint16_t buffer = board.unmask(4);
  board.drive({true});
  CHECK(board.came(buffer, IrqStatus::kValid));
}

TEST_CASE("each line has an interrupt of its own", "[irq]") {
  Board board;
  std::array<std::uint16_t, 6> buffers{};
  for (const int line : {0, 2, 4}) {
    REQUIRE(board.set_irq(line, IrqType::kRisingEdge) == kOk);
    buffers[static_cast<std::size_t>(line)] = board.unmask(line);
  }
  board.chip->drive(2, true);
  CHECK(board.came(buffers[2], IrqStatus::kValid));
  board.chip->drive(4, true);
  CHECK(board.came(buffers[4], IrqStatus::kValid));
  REQUIRE(board.set_irq(0, IrqType::kNone) == kOk);
  CHECK(board.came(buffers[0], IrqStatus::kInvalid));
}

TEST_CASE("an output of the guest interrupts it at the other end of the wire", "[irq]") {
  Board board;
  REQUIRE(board.set_irq(0, IrqType::kFallingEdge) == kOk);
  const std::uint16_t buffer = board.unmask(0);
  REQUIRE(board.say(Message::kSetValue, 1, 1) == kOk);
  REQUIRE(board.say(Message::kSetDirection, 1, kOut) == kOk);
  CHECK_FALSE(board.event());
  REQUIRE(board.say(Message::kSetValue, 1, 0) == kOk);
  CHECK(board.came(buffer, IrqStatus::kValid));
}

TEST_CASE("an interrupt makes a line an input; an output has none", "[irq]") {
  Board board;
  CHECK(board.set_irq(4, IrqType::kRisingEdge) == kOk);
  CHECK(board.say(Message::kGetDirection, 4) == Said{0, 2});
  CHECK(board.say(Message::kSetDirection, 4, kOut) == kError);
  CHECK(board.say(Message::kSetDirection, 4, kIn) == kOk);
  const std::uint16_t buffer = board.unmask(4);
  board.chip->drive(4, true);
  CHECK(board.came(buffer, IrqStatus::kValid));  // being made what it is changed nothing
  CHECK(board.say(Message::kSetDirection, 3, kOut) == kOk);
  CHECK(board.set_irq(3, IrqType::kRisingEdge) == kError);
  CHECK(board.set_irq(3, IrqType::kNone) == kOk);
}

TEST_CASE("an enabled interrupt changes its type only through none", "[irq]") {
  IrqBoard board(IrqType::kRisingEdge);
  CHECK(board.set_irq(4, IrqType::kFallingEdge) == kError);
  CHECK(board.set_irq(4, IrqType::kRisingEdge) == kOk);
  CHECK(board.set_irq(4, IrqType::kNone) == kOk);
  CHECK(board.set_irq(4, IrqType::kFallingEdge) == kOk);
  const std::uint16_t buffer = board.unmask(4);
  board.drive({true});
  CHECK_FALSE(board.event());
  board.drive({false});
  CHECK(board.came(buffer, IrqStatus::kValid));
}

TEST_CASE("a driver that did not ask for interrupts has none", "[irq]") {
  Board board(RigOptions{});
  CHECK(board.set_irq(4, IrqType::kRisingEdge) == kError);
  CHECK(board.set_irq(4, IrqType::kNone) == kError);
  board.chip->drive(4, true);
  board.rig.run();
  CHECK(board.works());
}

TEST_CASE("interrupts do not outlive a reset", "[irq]") {
  IrqBoard board(IrqType::kBothEdges);
  board.unmask(4);
  REQUIRE(board.rig.start());
  board.drive({true});
  CHECK_FALSE(board.event());
  CHECK(board.came(board.unmask(4), IrqStatus::kInvalid));
  CHECK(board.works());
}

}  // namespace
}  // namespace vmm::virtio_gpio
