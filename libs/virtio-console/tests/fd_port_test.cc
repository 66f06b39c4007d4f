// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/fd_port.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdlib>

#include "fd_pairs.h"
#include "typed_console.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_console {
namespace {

using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;

constexpr std::uint16_t kTransmit = 1;

TEST_CASE("a guest's words go to the descriptor", "[fd_port]") {
  const Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  FdOutput output(pipe.write.get());
  DeviceRig rig(*Console::create({.output = &output}), {});
  REQUIRE(rig.start());
  REQUIRE(rig.exchange(kTransmit, {.readable = {bytes_of("he"), bytes_of("llo")}, .writable = {}}));
  CHECK(pipe.drain() == "hello");
}

TEST_CASE("a full descriptor has no room; one that nobody reads takes all", "[fd_port]") {
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  FdOutput output(pipe.write.get());
  CHECK(output.room_fd() == pipe.write.get());
  const std::vector<std::byte> page(65536);
  std::size_t taken = 0;
  while (const std::size_t n = output.write(page)) taken += n;
  CHECK(taken >= 4096);
  const UniqueFd bad(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(FdOutput(bad.get()).write(page) == page.size());
}

TEST_CASE("what is typed reaches the guest as it has room, to the last byte", "[fd_port]") {
  const Pipe pipe;
  TypedConsole console(4);
  const auto input = console.listen_to(pipe.read.get());
  REQUIRE(input);
  pipe.put("0123456789");
  CHECK(console.received(10) == "0123456789");
}

TEST_CASE("the end of what was typed does not keep the loop busy before the guest has it",
          "[fd_port]") {
  Pipe pipe;
  TypedConsole console(4);
  const auto input = console.listen_to(pipe.read.get());
  REQUIRE(input);
  pipe.put("01234567");
  pipe.write.reset();
  CHECK(console.rig.run());
  CHECK(console.received(8) == "01234567");
}

TEST_CASE("a terminal's input goes on as long as somebody has its other side", "[fd_port]") {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  std::array<char, 64> path{};
  REQUIRE(::grantpt(terminal.get()) == 0);
  REQUIRE(::unlockpt(terminal.get()) == 0);
  REQUIRE(::ptsname_r(terminal.get(), path.data(), path.size()) == 0);
  const auto open = [&path] {
    return UniqueFd(::open(path.data(), O_RDWR | O_NOCTTY | O_CLOEXEC));
  };
  const UniqueFd held = open();
  REQUIRE(held);
  TypedConsole console;
  const auto input = console.listen_to(terminal.get());
  REQUIRE(input);
  for (int round = 0; round < 3; ++round) {
    const UniqueFd other = open();
    REQUIRE(::write(other.get(), "x", 1) == 1);
    CHECK(console.received(1) == "x");
    CHECK(console.rig.run());
  }
}

TEST_CASE("who gave the descriptor has it back as it was", "[fd_port]") {
  const auto blocks = [](const UniqueFd& fd) {
    return (::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0;
  };
  TypedConsole console;
  const Pipe pipe;
  {
    const auto input = console.listen_to(pipe.read.get());
    REQUIRE(input);
    CHECK_FALSE(blocks(pipe.read));
  }
  CHECK(blocks(pipe.read));
  const Pipe never(O_CLOEXEC | O_NONBLOCK);
  {
    const auto input = console.listen_to(never.read.get());
  }
  CHECK_FALSE(blocks(never.read));
}

TEST_CASE("an input that ends, or is no stream, leaves the console alone", "[fd_port]") {
  TypedConsole console;
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(console.listen_to(null.get()));
  CHECK_FALSE(console.listen_to(-1));
  Pipe pipe;
  {
    const auto input = console.listen_to(pipe.read.get());
    REQUIRE(input);
    pipe.write.reset();
    console.rig.run();
    // It is over: the loop has nothing to do any more.
    const auto ready = console.rig.loop().run_once(DeviceRig::Milliseconds(0));
    CHECK((ready && *ready == 0));
  }
  CHECK(console.rig.running());
}

}  // namespace
}  // namespace vmm::virtio_console
