// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each read of the source fails, or does only half of its work: the device has no status to tell it
// by, so that each request is answered with what there is.

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <string>
#include <utility>

#include "faulty_calls.h"
#include "fd_pairs.h"
#include "open_fds.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_rng/rng.h"

namespace vmm::virtio_rng {
namespace {

using virtio_device::testing::DeviceRig;

constexpr int kRequests = 3;

TEST_CASE("a read of the source that fails is made up for", "[rng][faults]") {
  const int error = GENERATE(0, EINTR, EAGAIN, EIO, ENOMEM, EFAULT);
  const std::size_t before = open_fds();
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(error, nth);
    Pipe pipe(O_CLOEXEC | O_NONBLOCK);
    pipe.put(std::string(kRequests * 64, 'r'));
    DeviceRig rig(*Rng::create(std::move(pipe.read)));
    REQUIRE(rig.start());
    faulty_calls::arm({.nth = nth, .error = error});
    for (int i = 0; i < kRequests; ++i) {
      const auto answer = rig.exchange(0, {.readable = {}, .writable = {64}});
      REQUIRE(answer);
      CHECK(answer->written >= 1);
      CHECK(answer->written <= 64);
    }
    if (!faulty_calls::disarm()) break;
    REQUIRE(nth < 100);
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::virtio_rng
