// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <catch2/catch.hpp>
#include <vector>

#include "answered_ioctls.h"
#include "linux_vhost.h"
#include "vmm/vhost/net.h"
#include "vmm/virtio_queue/queue_config.h"

namespace {

using namespace vmm;
using virtio_queue::Queue;
using vm_memory::GuestMemory;

struct Wires {
  std::uint64_t features;
  int kick, call, tap;
};

Result<void> start(const vhost::Net& net, const GuestMemory& memory, const Queue& queue,
                   const Wires& wires) {
  VMM_TRY_DO(net.set_owner());
  VMM_TRY_DO(net.set_features(wires.features));
  const auto snapshot = memory.snapshot();  // to be kept as long as the device runs
  VMM_TRY(const auto table, vhost::MemoryTable::create(snapshot->view().regions()));
  VMM_TRY_DO(net.set_memory(table));

  VMM_TRY(const auto addresses, vhost::host_addresses({.shape = queue.shape()}, snapshot->view()));
  VMM_TRY_DO(net.set_ring_size({.ring = 0, .value = queue.size()}));
  VMM_TRY_DO(net.set_ring_base({.ring = 0, .value = vhost::to_base(queue.position(), false)}));
  VMM_TRY_DO(net.set_ring_addresses(0, addresses));
  VMM_TRY_DO(net.set_ring_kick(0, wires.kick));
  VMM_TRY_DO(net.set_ring_call(0, wires.call));
  return net.set_backend(0, wires.tap);  // from now on the kernel serves the ring
}

}  // namespace

TEST_CASE("the README's example works", "[readme]") {
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 0x10000};
  const auto memory = *GuestMemory::create({&ram, 1});
  auto config = *virtio_queue::QueueConfig::create(16);
  REQUIRE(config.set_descriptors(GuestAddress(0x1000)));
  REQUIRE(config.set_driver(GuestAddress(0x2000)));
  REQUIRE(config.set_device(GuestAddress(0x3000)));
  config.set_ready(true);
  const auto queue = *config.activate(memory);

  const auto net = vhost::Net::adopt(std::move(*sys_util::EventFd::create()).release());
  std::vector<unsigned long> requests;
  bool started = false;
  const bool here = testing::with_answers(
      VHOST_VIRTIO,
      [&](const testing::AskedIoctl& asked) {
        requests.push_back(asked.request);
        return 0;
      },
      [&] { started = start(net, memory, queue, {1ull << 32, 4, 5, 6}).has_value(); });
  if (!here) {
    WARN("skipped: this kernel has no user notifications of seccomp");
    return;
  }
  CHECK(started);
  CHECK(requests == std::vector<unsigned long>{
                        VHOST_SET_OWNER, VHOST_SET_FEATURES, VHOST_SET_MEM_TABLE,
                        VHOST_SET_VRING_NUM, VHOST_SET_VRING_BASE, VHOST_SET_VRING_ADDR,
                        VHOST_SET_VRING_KICK, VHOST_SET_VRING_CALL, VHOST_NET_SET_BACKEND});
}
