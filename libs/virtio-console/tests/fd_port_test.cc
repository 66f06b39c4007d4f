// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_console/fd_port.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>

#include "vmm/base/unique_fd.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_console {
namespace {

using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;

constexpr std::uint16_t kReceive = 0;
constexpr std::uint16_t kTransmit = 1;

struct Pipe {
  explicit Pipe(int flags = O_CLOEXEC) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), flags) == 0);
    out = UniqueFd(ends[0]);
    in = UniqueFd(ends[1]);
  }
  void write(std::string_view text) const {
    REQUIRE(::write(in.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  UniqueFd in, out;
};

std::string read_some(int fd) {
  std::array<char, 128> text{};
  const ssize_t got = ::read(fd, text.data(), text.size());
  return {text.data(), got > 0 ? static_cast<std::size_t>(got) : 0};
}

TEST_CASE("a guest's words go to the descriptor", "[fd_port]") {
  const Pipe pipe;
  FdOutput output(pipe.in.get());
  DeviceRig rig(*Console::create({.output = &output}), {});
  REQUIRE(rig.start());
  REQUIRE(rig.exchange(kTransmit, {.readable = {bytes_of("he"), bytes_of("llo")}, .writable = {}}));
  CHECK(read_some(pipe.out.get()) == "hello");
}

TEST_CASE("a full descriptor has no room; one that nobody reads takes all", "[fd_port]") {
  Pipe pipe(O_CLOEXEC | O_NONBLOCK);
  FdOutput output(pipe.in.get());
  CHECK(output.room_fd() == pipe.in.get());
  const std::vector<std::byte> page(65536);
  std::size_t taken = 0;
  while (const std::size_t n = output.write(page)) taken += n;
  CHECK(taken >= 4096);
  const UniqueFd bad(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(FdOutput(bad.get()).write(page) == page.size());
}

TEST_CASE("what is typed reaches the guest as it has room, to the last byte", "[fd_port]") {
  const Pipe pipe;
  const Pipe nowhere;
  FdOutput output(nowhere.in.get());
  const auto console = *Console::create({.output = &output, .capacity = 4});
  DeviceRig rig(console, {});
  REQUIRE(rig.start());
  const auto input = FdInput::create(rig.loop(), pipe.out.get(), *console);
  REQUIRE(input);
  pipe.write("0123456789");
  std::string got;
  while (got.size() < 10) {
    const auto answer = rig.exchange(kReceive, {.readable = {}, .writable = {3}});
    REQUIRE(answer);
    for (std::uint32_t i = 0; i < answer->written; ++i) got += answer->at<char>(i);
  }
  CHECK(got == "0123456789");
}

TEST_CASE("who gave the descriptor has it back as it was", "[fd_port]") {
  const auto blocks = [](const UniqueFd& fd) { return (::fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0; };
  const Pipe nowhere;
  FdOutput output(nowhere.in.get());
  const auto console = *Console::create({.output = &output});
  DeviceRig rig(console, {});
  const Pipe pipe;
  {
    const auto input = FdInput::create(rig.loop(), pipe.out.get(), *console);
    REQUIRE(input);
    CHECK_FALSE(blocks(pipe.out));
  }
  CHECK(blocks(pipe.out));
  const Pipe never(O_CLOEXEC | O_NONBLOCK);
  { const auto input = FdInput::create(rig.loop(), never.out.get(), *console); }
  CHECK_FALSE(blocks(never.out));
}

TEST_CASE("an input that ends, or is no stream, leaves the console alone", "[fd_port]") {
  const Pipe nowhere;
  FdOutput output(nowhere.in.get());
  const auto console = *Console::create({.output = &output});
  DeviceRig rig(console, {});
  REQUIRE(rig.start());
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  CHECK(FdInput::create(rig.loop(), null.get(), *console));
  CHECK_FALSE(FdInput::create(rig.loop(), -1, *console));
  Pipe pipe;
  {
    const auto input = FdInput::create(rig.loop(), pipe.out.get(), *console);
    REQUIRE(input);
    pipe.in.reset();
    rig.run();
    // It is over: the loop has nothing to do any more.
    const auto ready = rig.loop().run_once(DeviceRig::Milliseconds(0));
    CHECK((ready && *ready == 0));
  }
  CHECK(rig.running());
}

}  // namespace
}  // namespace vmm::virtio_console
