// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
// An I2C adapter and a GPIO chip of the kernel, as the daemons use them: for a machine that
// simulates them (i2c-stub and gpio-sim), which tests/vhost-user/boards_test.py boots. Its
// environment: BOARD_I2C_BUS, N of /dev/i2c-N with a chip at 0x50; BOARD_GPIO_CHIP, N of
// /dev/gpiochipN with 8 lines, of which line 2 is called "button"; BOARD_GPIO_PULL, the folder
// where sim_gpio2/pull is.

#include <poll.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "vmm/virtio_gpio/host_chip.h"
#include "vmm/virtio_i2c/host_adapter.h"

namespace vmm {
namespace {

unsigned number(const char* name) {
  const char* const text = std::getenv(name);
  REQUIRE(text != nullptr);
  return static_cast<unsigned>(std::stoul(text));
}

struct Adapter {
  using Message = virtio_i2c::Message;
  static constexpr virtio_i2c::Address kChip{.number = 0x50};

  Result<void> write(std::vector<std::byte> bytes) const {
    const Message message{.address = kChip, .data = bytes};
    return adapter->transfer({&message, 1});
  }
  Result<std::vector<std::byte>> read(std::byte at, std::size_t count) const {
    std::array command{at};
    std::vector<std::byte> data(count);
    const std::array messages{Message{.address = kChip, .data = command},
                              Message{.address = kChip, .read = true, .data = data}};
    VMM_TRY_DO(adapter->transfer(messages));
    return data;
  }

  std::shared_ptr<virtio_i2c::HostAdapter> adapter =
      *virtio_i2c::HostAdapter::open(number("BOARD_I2C_BUS"));
};

TEST_CASE("bytes, words and blocks go to a chip of the kernel and back", "[i2c]") {
  const Adapter bus;
  using std::byte;
  REQUIRE(bus.write({byte{0x10}, byte{0xab}}));
  CHECK(*bus.read(byte{0x10}, 1) == std::vector{byte{0xab}});
  REQUIRE(bus.write({byte{0x20}, byte{0x34}, byte{0x12}}));
  CHECK(*bus.read(byte{0x20}, 2) == std::vector{byte{0x34}, byte{0x12}});
  REQUIRE(bus.write({byte{0x30}, byte{1}, byte{2}, byte{3}, byte{4}}));
  CHECK(*bus.read(byte{0x30}, 4) == std::vector{byte{1}, byte{2}, byte{3}, byte{4}});
  CHECK(bus.write({}));
}

TEST_CASE("where the kernel has no chip there is none", "[i2c]") {
  const Adapter bus;
  const virtio_i2c::Message nobody{.address = {.number = 0x23}, .data = {}};
  CHECK_FALSE(bus.adapter->transfer({&nobody, 1}));
  CHECK(bus.read(std::byte{0}, 33).error().is_os(ENOTSUP));
}

struct Lines {
  void pull(bool up) const {
    std::ofstream(std::string(std::getenv("BOARD_GPIO_PULL")) + "/sim_gpio2/pull")
        << (up ? "pull-up" : "pull-down") << std::flush;
  }
  [[nodiscard]] std::vector<std::uint16_t> edges(int patience_ms = 60'000) const {
    pollfd watch{.fd = chip->edges_fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&watch, 1, patience_ms);
    std::array<std::uint16_t, 8> lines;
    return {lines.begin(), lines.begin() + static_cast<std::ptrdiff_t>(chip->take_edges(lines))};
  }
  [[nodiscard]] bool quiet() const { return edges(500).empty(); }

  std::shared_ptr<virtio_gpio::HostChip> chip =
      *virtio_gpio::HostChip::open(number("BOARD_GPIO_CHIP"));
};

using virtio_gpio::Direction;
using virtio_gpio::Edges;

TEST_CASE("a chip of the kernel has lines with names", "[gpio]") {
  const Lines lines;
  CHECK(lines.chip->lines() == 8);
  CHECK(lines.chip->name(2) == "button");
  CHECK(lines.chip->name(3).empty());
}

TEST_CASE("a line of the kernel is read and driven", "[gpio]") {
  const Lines lines;
  REQUIRE(lines.chip->set_direction(2, Direction::kIn, false));
  for (const bool up : {true, false, true}) {
    lines.pull(up);
    CHECK(*lines.chip->value(2) == up);
  }
  REQUIRE(lines.chip->set_direction(2, Direction::kOut, false));
  CHECK_FALSE(*lines.chip->value(2));
  REQUIRE(lines.chip->set_value(2, true));
  CHECK(*lines.chip->value(2));
  REQUIRE(lines.chip->set_direction(3, Direction::kOut, true));
  CHECK(*lines.chip->value(3));
}

TEST_CASE("a line belongs to who took it until it is let go", "[gpio]") {
  const Lines mine, other;
  REQUIRE(mine.chip->set_direction(2, Direction::kIn, false));
  CHECK(other.chip->set_direction(2, Direction::kIn, false).error().is_os(EBUSY));
  CHECK(other.chip->value(2).error().is_os(EBUSY));
  REQUIRE(mine.chip->set_direction(2, Direction::kNone, false));
  CHECK(other.chip->value(2));
  CHECK(mine.chip->set_value(2, true).error().is_os(ENODEV));
  CHECK(mine.chip->watch(2, Edges::kBoth).error().is_os(ENODEV));
}

TEST_CASE("the kernel reports the edges that are watched", "[gpio]") {
  const Lines lines;
  lines.pull(false);
  REQUIRE(lines.chip->set_direction(2, Direction::kIn, false));
  lines.pull(true);
  CHECK(lines.quiet());
  REQUIRE(lines.chip->watch(2, Edges::kFalling));
  CHECK(lines.quiet());
  lines.pull(false);
  CHECK(lines.edges() == std::vector<std::uint16_t>{2});
  lines.pull(true);
  CHECK(lines.quiet());
  REQUIRE(lines.chip->watch(2, Edges::kBoth));
  lines.pull(false);
  lines.pull(true);
  CHECK(lines.edges() == std::vector<std::uint16_t>{2});
  lines.pull(false);
  REQUIRE(lines.chip->watch(2, Edges::kRising));  // forgets what was before
  CHECK(lines.quiet());
  REQUIRE(lines.chip->watch(2, Edges::kNone));
  lines.pull(true);
  CHECK(lines.quiet());
}

}  // namespace
}  // namespace vmm
