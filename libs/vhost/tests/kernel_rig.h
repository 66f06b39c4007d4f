// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Guest memory and a driver for two rings of a vhost device of this kernel.

#include <poll.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/sys_util/event_fd.h"
#include "vmm/vhost/vhost_device.h"
#include "vmm/vhost/vring.h"
#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vhost {

constexpr std::uint64_t kVersion1 = std::uint64_t{1} << 32;

/// A ring with its driver. Entries are buffers of one descriptor.
class KernelRing {
 public:
  static constexpr std::uint16_t kSize = 8;

  KernelRing(vm_memory::MemoryView memory, std::uint64_t at)
      : shape_{.rings = {.descriptors = GuestAddress(at),
                         .driver = GuestAddress(at + 0x1000),
                         .device = GuestAddress(at + 0x2000)},
               .size = kSize},
        driver_(*virtio_queue::driver::Driver::create(shape_, memory)) {}

  [[nodiscard]] const virtio_queue::QueueShape& shape() const { return shape_; }
  /// Everything but the start: a ring goes on at `base`.
  void set_up(const VhostDevice& device, std::uint32_t ring, vm_memory::MemoryView memory,
              bool log = false, std::uint32_t base = 0) const {
    const auto addresses = host_addresses({.shape = shape_, .log = log}, memory);
    REQUIRE(addresses);
    REQUIRE(device.set_ring_size({.ring = ring, .value = kSize}));
    REQUIRE(device.set_ring_base({.ring = ring, .value = base}));
    REQUIRE(device.set_ring_addresses(ring, *addresses));
    REQUIRE(device.set_ring_kick(ring, kick_.fd()));
    REQUIRE(device.set_ring_call(ring, call_.fd()));
    REQUIRE(device.set_ring_error(ring, error_.fd()));
  }
  void offer(std::uint64_t at, std::uint32_t bytes, bool device_writable) {
    const virtio_queue::driver::Buffer buffer{GuestAddress(at), bytes, device_writable};
    REQUIRE(driver_.add(std::span(&buffer, 1)));
    if (driver_.publish()) REQUIRE(kick_.add());
  }
  /// The next buffer that comes back, after the interrupt.
  [[nodiscard]] std::optional<virtio_queue::driver::Used> wait(int milliseconds = 60'000) {
    for (;;) {
      const auto used = driver_.reap();
      REQUIRE(used);
      if (*used) return **used;
      pollfd event{.fd = call_.fd(), .events = POLLIN, .revents = 0};
      if (::poll(&event, 1, milliseconds) != 1) return std::nullopt;
      (void)call_.take();
    }
  }
  /// Whether the device said that the ring is broken.
  [[nodiscard]] bool breaks(int milliseconds = 5000) const {
    pollfd event{.fd = error_.fd(), .events = POLLIN, .revents = 0};
    return ::poll(&event, 1, milliseconds) == 1;
  }

 private:
  virtio_queue::QueueShape shape_;
  virtio_queue::driver::Driver driver_;
  sys_util::EventFd kick_ = *sys_util::EventFd::create();
  sys_util::EventFd call_ = *sys_util::EventFd::create();
  sys_util::EventFd error_ = *sys_util::EventFd::create();
};

/// 1 MiB of guest memory with two rings at its start.
struct KernelRig {
  static constexpr std::uint64_t kBase = 0x10'0000;
  static constexpr std::uint64_t kBuffers = kBase + 0x1'0000;

  static vm_memory::GuestMemory make_memory() {
    const vm_memory::RegionConfig ram{
        .base = GuestAddress(kBase), .bytes = 0x10'0000, .dirty_tracking = true};
    return *vm_memory::GuestMemory::create(std::span(&ram, 1));
  }

  vm_memory::GuestMemory memory = make_memory();
  KernelRing receive{memory.view(), kBase};
  KernelRing transmit{memory.view(), kBase + 0x4000};

  /// Owner, features and memory: what comes before the rings.
  void claim(const VhostDevice& device, std::uint64_t features = kVersion1) const {
    REQUIRE(device.set_owner());
    REQUIRE(device.set_features(features));
    REQUIRE(device.set_memory(*MemoryTable::create(memory.view().regions())));
  }
  void put(std::uint64_t at, const std::vector<std::byte>& bytes) const {
    REQUIRE(memory.view().write_bytes(GuestAddress(at), bytes));
  }
  [[nodiscard]] std::vector<std::byte> get(std::uint64_t at, std::size_t bytes) const {
    std::vector<std::byte> got(bytes);
    REQUIRE(memory.view().read_bytes(GuestAddress(at), got));
    return got;
  }
};

/// What every vhost device of the kernel does.
inline void check_common_rules(const VhostDevice& device) {
  KernelRig rig;
  const auto features = device.features();
  REQUIRE(features);
  CHECK((*features & kVersion1) != 0);
  CHECK((*features & kFeatureLogAll) != 0);
  CHECK(device.set_memory(*MemoryTable::create(rig.memory.view().regions())).error().is_os(EPERM));
  rig.claim(device);
  CHECK(device.set_owner().error().is_os(EBUSY));
  CHECK(device.set_features(*features | std::uint64_t{1} << 60).error().is_os(EOPNOTSUPP));

  // The base that is set is the base that comes back.
  REQUIRE(device.set_ring_size({.ring = 0, .value = 8}));
  for (const std::uint32_t base : {0u, 1u, 0x1234u, 0xffffu}) {
    REQUIRE(device.set_ring_base({.ring = 0, .value = base}));
    CHECK(*device.ring_base(0) == base);
  }
  CHECK(device.set_ring_base({.ring = 0, .value = 0x1'0000}).error().is_os(EINVAL));
  for (const std::uint32_t size : {0u, 3u, 0x1'0000u}) {
    CHECK(device.set_ring_size({.ring = 0, .value = size}).error().is_os(EINVAL));
  }
  CHECK(device.set_ring_size({.ring = 2, .value = 8}).error().is_os(ENOBUFS));
  CHECK(device.set_ring_kick(0, 0x7fff'0000).error().is_os(EBADF));
}

}  // namespace vmm::vhost
