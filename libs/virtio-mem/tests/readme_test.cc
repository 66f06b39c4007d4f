// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <catch2/catch.hpp>

#include "mem_rig.h"

namespace {

using namespace vmm;
using virtio_mem::Mem;
using virtio_mem::MemoryBlocks;

struct Transport {
  std::shared_ptr<virtio_device::VirtioDevice> device;
};

Result<std::uint64_t> example(Transport& transport, std::shared_ptr<MemoryBlocks> my_blocks) {
  const auto mem =
      Mem::create({.region = {GuestAddress(std::uint64_t{1} << 36), std::uint64_t{4} << 30},
                   .blocks = std::move(my_blocks)});  // what adds and removes memory of the VM
  if (!mem) return fail(mem.error());
  transport.device = *mem;                     // any transport
  VMM_TRY_DO((*mem)->set_requested(1 << 30));  // later, from any thread
  const std::uint64_t there = (*mem)->plugged();
  return there;
}

}  // namespace

TEST_CASE("the README's example works", "[mem]") {
  Transport transport;
  const auto there = example(transport, std::make_shared<virtio_mem::RecordingBlocks>());
  REQUIRE(there);
  CHECK(*there == 0);
}
