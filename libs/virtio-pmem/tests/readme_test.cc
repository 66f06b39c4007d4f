// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <catch2/catch.hpp>
#include <utility>

#include "vmm/sys_util/temp_file.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_pmem/pmem.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_pmem;

struct Transport {
  std::shared_ptr<virtio_device::VirtioDevice> device;
};

void example(Transport& transport, UniqueFd file) {
  const auto pmem = *Pmem::create(make_file_flusher(std::move(file)));
  // The VMM maps the same file there, shared, as a memory slot of its own.
  pmem->place({GuestAddress(std::uint64_t{1} << 36), 128 << 20});
  transport.device = pmem;  // any transport
}

}  // namespace

TEST_CASE("the README's example works", "[pmem]") {
  Transport transport;
  example(transport, std::move(*sys_util::TempFile::create()).release());
  virtio_device::testing::DeviceRig rig(transport.device);
  REQUIRE(rig.start());
  CHECK(rig.config<Le64>(0).get() == std::uint64_t{1} << 36);
  CHECK(rig.config<Le64>(8).get() == 128 << 20);
  const auto answer =
      rig.exchange(0, {.readable = {virtio_device::testing::bytes_of(Le32(0))}, .writable = {4}});
  REQUIRE(answer);
  CHECK(answer->at<Le32>(0).get() == Pmem::kDone);
}
