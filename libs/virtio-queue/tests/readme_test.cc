// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include <array>
#include <catch2/catch.hpp>

#include "rig.h"

namespace {

using namespace vmm;
using namespace vmm::virtio_queue;

Result<Queue> start(const QueueConfig& registers, const vm_memory::GuestMemory& memory) {
  VMM_TRY(Queue queue, registers.activate(memory));
  return queue;
}

bool echo(Queue& queue) {
  InlineChain<64> chain;
  const Served served = queue.process(chain, 128, [](Chain& request) {
    std::array<std::byte, 512> bytes;
    const std::size_t n = request.reader().read(bytes);
    const std::size_t written = request.writer().write(std::span(bytes).first(n));
    return std::optional(static_cast<std::uint32_t>(written));
  });
  return served.notify;
}

TEST_CASE("the example of the README works", "[readme]") {
  Rig rig({.size = 8});
  Result<Queue> queue = start(config_of({.size = 8}), rig.memory);
  REQUIRE(queue);
  REQUIRE(rig.view().write(GuestAddress(kBuffers), Le32(42)));
  const auto token = rig.offer({readable(kBuffers, 4), writable(kBuffers + 64, 100)});
  CHECK(echo(*queue));
  CHECK(rig.reap() == driver::Used{token, 4});
  CHECK(*rig.view().read<Le32>(GuestAddress(kBuffers + 64)) == Le32(42));
}

}  // namespace
