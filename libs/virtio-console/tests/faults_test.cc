// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a console's descriptors fails once, or does half of its work. No buffer of the
// driver is lost; bytes are lost only by an error that says that nobody takes them.

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>

#include "faulty_calls.h"
#include "fd_pairs.h"
#include "open_fds.h"
#include "typed_console.h"
#include "vmm/virtio_console/fd_port.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_console {
namespace {

using virtio_device::testing::bytes_of;
using virtio_device::testing::DeviceRig;

constexpr std::uint16_t kTransmit = 1;

TEST_CASE("a write of a console that fails loses its bytes only where nobody takes them",
          "[fd_port][faults]") {
  const int error = GENERATE(0, EINTR, EAGAIN, EIO, ENOSPC, EPIPE);
  const std::size_t before = open_fds();
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(error, nth);
    const Pipe pipe(O_CLOEXEC | O_NONBLOCK);
    FdOutput output(pipe.write.get());
    DeviceRig rig(*Console::create({.output = &output}), {});
    REQUIRE(rig.start());
    faulty_calls::arm(
        {.nth = nth, .error = error, .calls = faulty_calls::kPlainWrite, .fd = pipe.write.get()});
    for (const char* const line : {"one ", "two ", "three "}) {
      const auto answer = rig.exchange(kTransmit, {.readable = {bytes_of(line)}, .writable = {}});
      REQUIRE(answer);
      CHECK(answer->written == 0);
    }
    const bool failed = faulty_calls::disarm();
    const std::string got = pipe.drain();
    const bool is_lost = failed && (error == EIO || error == ENOSPC || error == EPIPE);
    if (!is_lost) {
      CHECK(got == "one two three ");
    } else {
      CHECK(got == (nth == 1 ? "two three " : nth == 2 ? "one three " : "one two "));
    }
    if (!failed) break;
    REQUIRE(nth < 100);
  }
  CHECK(open_fds() == before);
}

TEST_CASE("a read of a console that is short or interrupted loses nothing", "[fd_port][faults]") {
  const int error = GENERATE(0, EINTR, EAGAIN);
  const std::size_t before = open_fds();
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(error, nth);
    const Pipe pipe;
    TypedConsole console(4);
    const auto input = console.listen_to(pipe.read.get());
    REQUIRE(input);
    pipe.put("0123456789");
    faulty_calls::arm(
        {.nth = nth, .error = error, .calls = faulty_calls::kPlainRead, .fd = pipe.read.get()});
    CHECK(console.received(10) == "0123456789");
    if (!faulty_calls::disarm()) break;
    REQUIRE(nth < 100);
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::virtio_console
