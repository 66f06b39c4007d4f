// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/simulated_chip.h"

#include <poll.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

namespace vmm::virtio_gpio {
namespace {

std::shared_ptr<SimulatedChip> chip(std::uint16_t lines = 5) {
  return *SimulatedChip::create({.lines = lines, .names = {}});
}

bool is_readable(const Chip& chip) {
  pollfd watch{.fd = chip.edges_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&watch, 1, 0) == 1;
}

/// All edges that are there.
std::vector<std::uint16_t> edges(Chip& chip) {
  std::array<std::uint16_t, 8> lines;
  return {lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(chip.take_edges(lines))};
}

TEST_CASE("a simulated line has the value that drives it", "[simulated]") {
  const auto lines = chip();
  REQUIRE(lines->set_direction(0, Direction::kIn, true));
  CHECK_FALSE(*lines->value(0));
  lines->drive(0, true);
  CHECK(*lines->value(0));
  REQUIRE(lines->set_direction(1, Direction::kOut, false));  // its partner
  CHECK_FALSE(*lines->value(0));
  REQUIRE(lines->set_value(1, true));
  lines->drive(0, false);
  CHECK(*lines->value(0));
  REQUIRE(lines->set_direction(1, Direction::kNone, false));
  CHECK_FALSE(*lines->value(0));
  CHECK(lines->direction(1) == Direction::kNone);
}

TEST_CASE("lines without a partner, and without wires, are alone", "[simulated]") {
  const auto lines = chip();
  REQUIRE(lines->set_direction(4, Direction::kIn, false));
  lines->drive(4, true);
  CHECK(*lines->value(4));
  const auto loose = *SimulatedChip::create({.lines = 2, .wired = false, .names = {}});
  REQUIRE(loose->set_direction(0, Direction::kOut, true));
  CHECK_FALSE(*loose->value(1));
}

TEST_CASE("only edges that are watched are reported, each line once", "[simulated]") {
  struct Row {
    Edges watched;
    std::vector<std::uint16_t> rising, falling;
  };
  for (const Row& row : {Row{Edges::kNone, {}, {}}, Row{Edges::kRising, {2}, {}},
                         Row{Edges::kFalling, {}, {2}}, Row{Edges::kBoth, {2}, {2}}}) {
    CAPTURE(static_cast<int>(row.watched));
    const auto lines = chip();
    REQUIRE(lines->set_direction(2, Direction::kIn, false));
    REQUIRE(lines->watch(2, row.watched));
    CHECK_FALSE(is_readable(*lines));
    lines->drive(2, true);
    lines->drive(2, true);
    CHECK(is_readable(*lines) == !row.rising.empty());
    CHECK(edges(*lines) == row.rising);
    CHECK_FALSE(is_readable(*lines));
    lines->drive(2, false);
    CHECK(edges(*lines) == row.falling);
  }
}

TEST_CASE("an output's edge is seen at the other end of the wire", "[simulated]") {
  const auto lines = chip();
  REQUIRE(lines->set_direction(2, Direction::kIn, false));
  REQUIRE(lines->watch(2, Edges::kBoth));
  REQUIRE(lines->set_direction(3, Direction::kOut, true));
  CHECK(edges(*lines) == std::vector<std::uint16_t>{2});
  REQUIRE(lines->set_value(3, false));
  CHECK(edges(*lines) == std::vector<std::uint16_t>{2});
  REQUIRE(lines->set_value(3, false));
  CHECK(edges(*lines).empty());
}

TEST_CASE("edges of before a change of what is watched are forgotten", "[simulated]") {
  const auto lines = chip();
  REQUIRE(lines->set_direction(2, Direction::kIn, false));
  REQUIRE(lines->watch(2, Edges::kBoth));
  lines->drive(2, true);
  REQUIRE(lines->watch(2, Edges::kRising));
  CHECK(edges(*lines).empty());
  lines->drive(2, false);
  lines->drive(2, true);
  REQUIRE(lines->set_direction(2, Direction::kIn, false));
  CHECK(edges(*lines).empty());
  lines->drive(2, false);
  CHECK(edges(*lines).empty());
}

TEST_CASE("edges that find no room are for the next call", "[simulated]") {
  const auto lines = chip(40);
  for (std::uint16_t line = 0; line < 40; ++line) {
    REQUIRE(lines->set_direction(line, Direction::kIn, false));
    REQUIRE(lines->watch(line, Edges::kRising));
    lines->drive(line, true);
  }
  std::size_t taken = 0;
  for (int round = 0; round < 5; ++round) {
    CHECK(is_readable(*lines));
    taken += edges(*lines).size();
  }
  CHECK(taken == 40);
  CHECK_FALSE(is_readable(*lines));
}

TEST_CASE("a line does what its direction allows", "[simulated]") {
  const auto lines = chip();
  REQUIRE(lines->set_direction(0, Direction::kIn, false));
  CHECK(lines->set_value(0, true).error().is_os(EPERM));
  REQUIRE(lines->set_direction(0, Direction::kOut, false));
  CHECK(lines->watch(0, Edges::kBoth).error().is_os(EPERM));
}

TEST_CASE("a simulated chip has lines, and no more names than those", "[simulated]") {
  CHECK_FALSE(SimulatedChip::create({.lines = 0, .names = {}}));
  CHECK_FALSE(SimulatedChip::create({.lines = 1, .names = {"a", "b"}}));
  const auto named = *SimulatedChip::create({.lines = 2, .names = {"a"}});
  CHECK(named->name(0) == "a");
  CHECK(named->name(1).empty());
}

}  // namespace
}  // namespace vmm::virtio_gpio
