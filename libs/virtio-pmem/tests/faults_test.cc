// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each fsync(2) fails once: what was not made durable is not said to be.

#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "faulty_calls.h"
#include "open_fds.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_pmem/pmem.h"

namespace vmm::virtio_pmem {
namespace {

using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;

std::uint32_t flush(DeviceRig& rig) {
  const auto answer = rig.exchange(0, {.readable = {Bytes(4)}, .writable = {4}});
  REQUIRE(answer);
  REQUIRE(answer->written == 4);
  return answer->at<Le32>(0).get();
}

TEST_CASE("a sync that fails is told, and so are all after it; an interrupted one is made again",
          "[pmem][faults]") {
  const int error = GENERATE(EINTR, EIO, ENOSPC, ENOMEM);
  const std::size_t before = open_fds();
  for (std::uint64_t nth = 1; nth <= 3; ++nth) {
    CAPTURE(error, nth);
    DeviceRig rig(*Pmem::create(make_file_flusher(UniqueFd(::memfd_create("pmem", MFD_CLOEXEC)))));
    REQUIRE(rig.start());
    faulty_calls::arm({.nth = nth, .error = error, .calls = faulty_calls::kSync});
    for (std::uint64_t i = 1; i <= 4; ++i) {
      const bool works = error == EINTR || i < nth;
      CHECK(flush(rig) == (works ? Pmem::kDone : Pmem::kFailed));
    }
    CHECK(faulty_calls::disarm());
    CHECK(rig.running());
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::virtio_pmem
