// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_gpio/host_chip.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <functional>
#include <string>
#include <vector>

#include "fake_chip.h"
#include "open_fds.h"
#include "src/messages.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_gpio/gpio.h"

// What a chip of the host does is tested where a kernel has one: tests/vhost-user/boards_test.py.
// Here, what the kernel is asked, and what becomes of its answers and errors.

namespace vmm::virtio_gpio {
namespace {

using testing::FakeChip;

// As in the README.
Result<std::shared_ptr<Gpio>> example() {
  VMM_TRY(auto chip, vmm::virtio_gpio::HostChip::open(0));  // /dev/gpiochip0
  VMM_TRY(auto device, vmm::virtio_gpio::Gpio::create(chip));
  return device;
}

TEST_CASE("the README's example says what is missing", "[host]") {
  const auto device = example();
  if (!device) CHECK(device.error().code() != 0);
}

TEST_CASE("a chip that is not there is an error", "[host]") {
  const auto nothing = HostChip::open("/nonexistent");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOENT));
  CHECK_FALSE(HostChip::open(4'000'000'000u));
}

TEST_CASE("a file that is no chip is an error", "[host]") {
  const auto nothing = HostChip::open("/dev/null");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOTTY));
  CHECK(std::string(nothing.error().what()) == "GPIO_GET_CHIPINFO_IOCTL");
}

/// Runs `body` where `fake` is behind every chip; what it leaves open is found.
void with(FakeChip& fake, const std::function<void()>& body) {
  const std::size_t before = open_fds();
  if (!vmm::testing::with_answers(FakeChip::kType, std::ref(fake), body)) {
    WARN("skipped: this kernel has no user notifications of seccomp");
    return;
  }
  CHECK(fake.wrong == "");
  CHECK_FALSE(fake.holds_any());
  fake.lines.clear();
  CHECK(open_fds() == before);
}

std::shared_ptr<HostChip> open_chip() {
  auto chip = HostChip::open("/dev/null");
  REQUIRE(chip);
  return *chip;
}

template <class T>
void check_error(const Result<T>& result, int code, const char* what) {
  REQUIRE_FALSE(result);
  CHECK(result.error().is_os(code));
  CHECK(std::string(result.error().what()) == what);
}

bool is_readable(int fd) {
  pollfd poll{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, 0) == 1;
}

constexpr std::array kErrors{EPERM, EIO, ENXIO, ENOMEM, EBUSY, ENODEV, EINVAL, ENOTTY, EINTR};
constexpr std::uint64_t kInput = GPIO_V2_LINE_FLAG_INPUT;
constexpr std::uint64_t kOutput = GPIO_V2_LINE_FLAG_OUTPUT;
constexpr std::uint64_t kRising = GPIO_V2_LINE_FLAG_EDGE_RISING;
constexpr std::uint64_t kFalling = GPIO_V2_LINE_FLAG_EDGE_FALLING;

TEST_CASE("lines have the names that the kernel gives them", "[host]") {
  const std::string longest(GPIO_MAX_NAME_SIZE, 'n');  // without a byte 0 at its end
  FakeChip fake;
  fake.count = 4;
  fake.names = {"led", "", longest};
  with(fake, [&] {
    const auto chip = open_chip();
    CHECK(chip->lines() == 4);
    CHECK(chip->name(0) == "led");
    CHECK(chip->name(1).empty());
    CHECK(chip->name(2) == longest);
    CHECK(chip->name(3).empty());
    CHECK(fake.times(GPIO_GET_CHIPINFO_IOCTL) == 1);
    CHECK(fake.infos == std::vector<std::uint32_t>{0, 1, 2, 3});
    CHECK(fake.requests.size() == 5);  // no line was touched
    CHECK_FALSE(is_readable(chip->edges_fd()));
  });
}

TEST_CASE("a chip has 0 to 65535 lines", "[host][hostile]") {
  FakeChip fake;
  with(fake, [&] { CHECK(open_chip()->lines() == 0); });
  for (const std::uint32_t count : {65536u, 0x8000'0000u, 0xffff'ffffu}) {
    CAPTURE(count);
    fake.count = count;
    with(fake, [] { check_error(HostChip::open("/dev/null"), ERANGE, "lines of GPIO chip"); });
    CHECK(fake.infos.empty());
  }
  // As many as there may be; their names would take long.
  fake.count = 65535;
  fake.refused = {{GPIO_V2_GET_LINEINFO_IOCTL, EIO}};
  with(fake, [] { check_error(HostChip::open("/dev/null"), EIO, "GPIO_V2_GET_LINEINFO_IOCTL"); });
}

TEST_CASE("a chip that does not say what it is is an error", "[host]") {
  FakeChip fake;
  fake.count = 2;
  for (const int error : kErrors) {
    CAPTURE(error);
    fake.refused = {{GPIO_GET_CHIPINFO_IOCTL, error}};
    with(fake, [&] { check_error(HostChip::open("/dev/null"), error, "GPIO_GET_CHIPINFO_IOCTL"); });
    fake.refused = {{GPIO_V2_GET_LINEINFO_IOCTL, error}};
    with(fake,
         [&] { check_error(HostChip::open("/dev/null"), error, "GPIO_V2_GET_LINEINFO_IOCTL"); });
  }
}

TEST_CASE("a line is requested as what it is to be, then changed, then let go", "[host]") {
  FakeChip fake;
  fake.count = 3;
  with(fake, [&] {
    const auto chip = open_chip();
    for (const bool high : {true, false}) {
      REQUIRE(chip->set_direction(2, Direction::kOut, high));
      const FakeChip::Line& line = fake.lines[2];
      CHECK(fake.is_held(2));
      CHECK_FALSE(fake.is_held(0));
      CHECK(line.consumer == "cpp-vmm");
      CHECK(line.config.flags == kOutput);
      CHECK(line.high == high);
      CHECK((::fcntl(line.file, F_GETFL) & O_NONBLOCK) != 0);

      REQUIRE(chip->set_direction(2, Direction::kIn, high));
      CHECK(line.config.flags == kInput);
      REQUIRE(chip->set_direction(2, Direction::kOut, !high));
      CHECK(line.config.flags == kOutput);
      CHECK(line.high == !high);

      REQUIRE(chip->set_direction(2, Direction::kNone, false));
      CHECK_FALSE(fake.is_held(2));
      REQUIRE(chip->set_direction(2, Direction::kNone, false));  // nobody's already
    }
    CHECK(fake.times(GPIO_V2_GET_LINE_IOCTL) == 2);
    CHECK(fake.times(GPIO_V2_LINE_SET_CONFIG_IOCTL) == 4);
    CHECK(fake.times(GPIO_V2_LINE_SET_VALUES_IOCTL) == 0);
  });
}

TEST_CASE("values are read of any line, and set of outputs", "[host]") {
  FakeChip fake;
  fake.count = 2;
  with(fake, [&] {
    const auto chip = open_chip();
    fake.lines[1].high = true;
    CHECK(*chip->value(1));
    CHECK(fake.lines[1].config.flags == 0);  // whatever it is, it stays that
    CHECK(fake.is_held(1));
    fake.lines[1].high = false;
    CHECK_FALSE(*chip->value(1));
    CHECK(fake.times(GPIO_V2_GET_LINE_IOCTL) == 1);
    check_error(chip->set_value(1, true), EPERM, "GPIO_V2_LINE_SET_VALUES_IOCTL");

    REQUIRE(chip->set_direction(0, Direction::kOut, false));
    for (const bool high : {true, false, true}) {
      REQUIRE(chip->set_value(0, high));
      CHECK(fake.lines[0].high == high);
      CHECK(*chip->value(0) == high);
      CHECK_FALSE(fake.lines[1].high);
    }
  });
}

TEST_CASE("what needs a line that was taken fails for others", "[host]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    check_error(chip->set_value(0, true), ENODEV, "GPIO line");
    check_error(chip->watch(0, Edges::kBoth), ENODEV, "GPIO line");
    CHECK(fake.requests.size() == 2);  // of open()
  });
}

TEST_CASE("a line that others use is an error, which harms no other line", "[host]") {
  FakeChip fake;
  fake.count = 2;
  with(fake, [&] {
    const auto chip = open_chip();
    const auto other = open_chip();
    REQUIRE(other->set_direction(0, Direction::kIn, false));
    check_error(chip->set_direction(0, Direction::kOut, true), EBUSY, "GPIO_V2_GET_LINE_IOCTL");
    check_error(chip->value(0), EBUSY, "GPIO_V2_GET_LINE_IOCTL");
    CHECK(fake.lines[0].config.flags == kInput);
    CHECK(chip->set_direction(1, Direction::kOut, true));
    REQUIRE(other->set_direction(0, Direction::kNone, false));
    CHECK(chip->set_direction(0, Direction::kOut, true));
  });
}

TEST_CASE("each request that fails says so, and leaves the line as it was", "[host]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    for (const int error : kErrors) {
      CAPTURE(error);
      fake.refused = {{GPIO_V2_GET_LINE_IOCTL, error}};
      check_error(chip->set_direction(0, Direction::kIn, false), error, "GPIO_V2_GET_LINE_IOCTL");
      check_error(chip->value(0), error, "GPIO_V2_GET_LINE_IOCTL");
      CHECK_FALSE(fake.is_held(0));

      fake.refused = {{GPIO_V2_LINE_SET_CONFIG_IOCTL, error},
                      {GPIO_V2_LINE_GET_VALUES_IOCTL, error},
                      {GPIO_V2_LINE_SET_VALUES_IOCTL, error}};
      REQUIRE(chip->set_direction(0, Direction::kOut, true));
      check_error(chip->set_direction(0, Direction::kIn, false), error,
                  "GPIO_V2_LINE_SET_CONFIG_IOCTL");
      check_error(chip->watch(0, Edges::kRising), error, "GPIO_V2_LINE_SET_CONFIG_IOCTL");
      check_error(chip->value(0), error, "GPIO_V2_LINE_GET_VALUES_IOCTL");
      check_error(chip->set_value(0, false), error, "GPIO_V2_LINE_SET_VALUES_IOCTL");
      CHECK(fake.is_held(0));
      CHECK(fake.lines[0].config.flags == kOutput);
      CHECK(fake.lines[0].high);
      REQUIRE(chip->set_direction(0, Direction::kNone, false));
    }
  });
}

TEST_CASE("a line whose value cannot be read is not kept for that", "[host]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    fake.refused = {{GPIO_V2_LINE_GET_VALUES_IOCTL, EIO}};
    check_error(chip->value(0), EIO, "GPIO_V2_LINE_GET_VALUES_IOCTL");
    CHECK_FALSE(fake.is_held(0));
    fake.refused.clear();
    CHECK(chip->value(0));
    CHECK(fake.is_held(0));
  });
}

TEST_CASE("a file of a line that cannot be waited for is an error", "[host][hostile]") {
  FakeChip fake;
  fake.count = 1;
  fake.other_file = true;
  with(fake, [&] {
    const auto chip = open_chip();
    check_error(chip->set_direction(0, Direction::kIn, false), EBADF, "GPIO line");  // -1
    UniqueFd regular(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    REQUIRE(regular);
    fake.next_file = std::move(regular);
    const auto done = chip->set_direction(0, Direction::kIn, false);
    REQUIRE_FALSE(done);
    CHECK(done.error().is_os(EPERM));
    CHECK(::fcntl(fake.lines[0].file, F_GETFD) == -1);
    check_error(chip->watch(0, Edges::kBoth), ENODEV, "GPIO line");
    fake.other_file = false;
    CHECK(chip->set_direction(0, Direction::kIn, false));
  });
}

TEST_CASE("an input is watched for the edges that were asked for, until it changes", "[host]") {
  struct Row {
    Edges edges;
    std::uint64_t flags;
  };
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    REQUIRE(chip->set_direction(0, Direction::kIn, false));
    for (const Row& row : {Row{Edges::kRising, kRising}, Row{Edges::kFalling, kFalling},
                           Row{Edges::kBoth, kRising | kFalling}, Row{Edges::kNone, 0}}) {
      CAPTURE(row.flags);
      REQUIRE(chip->watch(0, row.edges));
      CHECK(fake.lines[0].config.flags == (kInput | row.flags));
    }
    REQUIRE(chip->watch(0, Edges::kBoth));
    REQUIRE(chip->set_direction(0, Direction::kIn, false));
    CHECK(fake.lines[0].config.flags == kInput);
  });
}

TEST_CASE("edges of before are not told, in bounded time", "[host][hostile]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    std::array<std::uint16_t, 4> lines{};
    REQUIRE(chip->set_direction(0, Direction::kIn, false));
    fake.add_edges(0, 40);
    REQUIRE(chip->watch(0, Edges::kBoth));
    CHECK_FALSE(is_readable(chip->edges_fd()));
    CHECK(chip->take_edges(lines) == 0);
    // More than a kernel keeps: that line could go on for ever.
    fake.add_edges(0, GPIO_V2_LINES_MAX * 16 + 1);
    REQUIRE(chip->watch(0, Edges::kBoth));
    CHECK(chip->take_edges(lines) == 1);
    CHECK(chip->take_edges(lines) == 0);
  });
}

TEST_CASE("edges are taken line by line, as many as there is room for", "[host]") {
  FakeChip fake;
  fake.count = 5;
  with(fake, [&] {
    const auto chip = open_chip();
    for (std::uint16_t line = 0; line < 5; ++line) {
      REQUIRE(chip->set_direction(line, Direction::kIn, false));
      REQUIRE(chip->watch(line, Edges::kRising));
    }
    std::array<std::uint16_t, 100> lines{};
    CHECK(chip->take_edges(lines) == 0);
    for (const std::uint16_t line : std::array<std::uint16_t, 3>{1, 3, 4}) fake.add_edges(line, 3);
    CHECK(is_readable(chip->edges_fd()));
    CHECK(chip->take_edges(std::span(lines).first(0)) == 0);
    CHECK(chip->take_edges(std::span(lines).first(2)) == 2);
    CHECK(chip->take_edges(std::span(lines).subspan(2)) == 1);
    std::sort(lines.begin(), lines.begin() + 3);
    CHECK(std::vector(lines.begin(), lines.begin() + 3) == std::vector<std::uint16_t>{1, 3, 4});
    CHECK_FALSE(is_readable(chip->edges_fd()));
    // More than are read at once: the line is told of again.
    fake.add_edges(2, 17);
    CHECK(chip->take_edges(lines) == 1);
    CHECK(chip->take_edges(lines) == 1);
    CHECK(lines[0] == 2);
    CHECK(chip->take_edges(lines) == 0);
  });
}

TEST_CASE("a line that was let go is not waited for, whoever has its file as well", "[host]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    REQUIRE(chip->set_direction(0, Direction::kIn, false));
    const UniqueFd child(::fcntl(fake.lines[0].file, F_DUPFD_CLOEXEC, 0));  // as after a fork
    REQUIRE(child);
    REQUIRE(chip->set_direction(0, Direction::kNone, false));
    fake.add_edges(0);
    CHECK_FALSE(is_readable(chip->edges_fd()));
  });
}

TEST_CASE("a line whose chip is gone is let go, once", "[host][hostile]") {
  FakeChip fake;
  fake.count = 2;
  with(fake, [&] {
    const auto chip = open_chip();
    for (const std::uint16_t line : std::array<std::uint16_t, 2>{0, 1}) {
      REQUIRE(chip->set_direction(line, Direction::kIn, false));
    }
    fake.unplug(1);
    fake.add_edges(0);
    std::array<std::uint16_t, 4> lines{};
    CHECK(chip->take_edges(lines) == 1);
    CHECK(lines[0] == 0);
    CHECK_FALSE(is_readable(chip->edges_fd()));  // or its device's worker would never rest
    CHECK(::fcntl(fake.lines[1].file, F_GETFD) == -1);
    CHECK(fake.is_held(0));
    check_error(chip->watch(1, Edges::kBoth), ENODEV, "GPIO line");
    CHECK(chip->set_direction(1, Direction::kIn, false));  // it may come back
  });
}

TEST_CASE("a line whose file ends is let go, whatever went wrong before", "[host][hostile]") {
  FakeChip fake;
  fake.count = 1;
  with(fake, [&] {
    const auto chip = open_chip();
    REQUIRE(chip->set_direction(0, Direction::kIn, false));
    fake.lines[0].kernel.reset();
    std::array<std::uint16_t, 4> lines{};
    errno = EAGAIN;
    CHECK(chip->take_edges(lines) == 0);
    CHECK_FALSE(is_readable(chip->edges_fd()));
    CHECK(::fcntl(fake.lines[0].file, F_GETFD) == -1);
  });
}

TEST_CASE("a device has its chip's lines, values and interrupts, and lets them go", "[host]") {
  using virtio_device::testing::Bytes;
  FakeChip fake;
  fake.count = 3;
  fake.names = {"button"};
  with(fake, [&] {
    virtio_device::testing::DeviceRig rig(*Gpio::create(open_chip()), {.features = kFeatureIrq});
    const auto say = [&](Message message, std::uint16_t line, std::uint32_t value) {
      Bytes bytes(8);
      store_le(&bytes[0], static_cast<std::uint16_t>(message));
      store_le(&bytes[2], line);
      store_le(&bytes[4], value);
      const auto answer = rig.exchange(0, {.readable = {bytes}, .writable = {2}});
      REQUIRE(answer);
      return std::pair(answer->at<std::int8_t>(0), answer->at<std::int8_t>(1));
    };
    constexpr std::pair<std::int8_t, std::int8_t> kOk{0, 0}, kHigh{0, 1}, kError{1, 0};
    REQUIRE(rig.start());
    CHECK(rig.config<std::uint16_t>(0) == 3);
    CHECK(rig.config<std::uint32_t>(4) == 9);
    CHECK(say(Message::kSetValue, 1, 1) == kOk);
    CHECK(say(Message::kSetDirection, 1, 1) == kOk);
    CHECK(fake.lines[1].high);
    CHECK(say(Message::kGetValue, 1, 0) == kHigh);
    CHECK(say(Message::kSetIrqType, 0, 3) == kOk);
    CHECK(fake.lines[0].config.flags == (kInput | kRising | kFalling));
    REQUIRE(rig.send(1, {.readable = {Bytes(2)}, .writable = {1}}));
    rig.run();
    CHECK_FALSE(rig.receive(1));
    fake.add_edges(0);
    const auto event = rig.wait(1);
    REQUIRE(event);
    CHECK(event->at<IrqStatus>(0) == IrqStatus::kValid);
    fake.refused = {{GPIO_V2_LINE_GET_VALUES_IOCTL, EIO}};
    CHECK(say(Message::kGetValue, 2, 0) == kError);
    rig.reset();
    CHECK_FALSE(fake.holds_any());
  });
}

}  // namespace
}  // namespace vmm::virtio_gpio
