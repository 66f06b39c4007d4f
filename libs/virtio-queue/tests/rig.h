// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/virtio_queue/driver/driver.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_queue {

using vm_memory::GuestMemory;
using vm_memory::MemoryView;
using vm_memory::RegionConfig;

/// Says an error by name where a check fails.
inline std::ostream& operator<<(std::ostream& out, QueueError error) {
  return out << make_error(error).domain().message(static_cast<std::int32_t>(error));
}
inline std::ostream& operator<<(std::ostream& out, Pop pop) {
  static constexpr const char* kNames[] = {"empty", "chain", "malformed", "broken"};
  return out << kNames[static_cast<int>(pop)];
}

inline constexpr std::uint64_t kRam = 0x1000;
inline constexpr std::uint64_t kRamBytes = 0x7f000;  // up to 0x80000
inline constexpr std::uint64_t kTable = 0x2000;
inline constexpr std::uint64_t kDriverArea = 0x4000;
inline constexpr std::uint64_t kDeviceArea = 0x6000;
inline constexpr std::uint64_t kIndirect = 0x8000;
inline constexpr std::uint64_t kBuffers = 0x10000;

struct Kind {
  std::uint16_t size = 8;
  bool packed = false;
  bool event_idx = false;
  bool in_order = false;
};

inline std::uint64_t features_of(const Kind& kind) {
  return (kind.packed ? kFeaturePacked : 0) | (kind.event_idx ? kFeatureEventIdx : 0) |
         (kind.in_order ? kFeatureInOrder : 0);
}

inline QueueShape shape_of(const Kind& kind) {
  return {.rings = {GuestAddress(kTable), GuestAddress(kDriverArea), GuestAddress(kDeviceArea)},
          .size = kind.size,
          .packed = kind.packed,
          .event_idx = kind.event_idx,
          .in_order = kind.in_order};
}

inline QueueConfig config_of(const Kind& kind) {
  QueueConfig config = *QueueConfig::create(kMaxQueueSize);
  config.set_features(features_of(kind));
  REQUIRE(config.set_size(kind.size));
  REQUIRE(config.set_descriptors(GuestAddress(kTable)));
  REQUIRE(config.set_driver(GuestAddress(kDriverArea)));
  REQUIRE(config.set_device(GuestAddress(kDeviceArea)));
  config.set_ready(true);
  return config;
}

inline GuestMemory make_memory(bool dirty = false) {
  const RegionConfig ram{.base = GuestAddress(kRam), .bytes = kRamBytes, .dirty_tracking = dirty};
  return *GuestMemory::create({&ram, 1});
}

/// A driver and a device at one queue.
struct Rig {
  explicit Rig(const Kind& kind, bool dirty = false)
      : memory(make_memory(dirty)),
        driver(*driver::Driver::create(shape_of(kind), memory.view())),
        queue(*config_of(kind).activate(memory)) {}

  [[nodiscard]] MemoryView view() const { return memory.view(); }
  std::uint16_t offer(const std::vector<driver::Buffer>& buffers) {
    const auto token = driver.add(buffers);
    REQUIRE(token);
    (void)driver.publish();
    return *token;
  }
  std::optional<driver::Used> reap() {
    const auto used = driver.reap();
    REQUIRE(used);
    return *used;
  }

  GuestMemory memory;
  driver::Driver driver;
  Queue queue;
  InlineChain<64> chain;
};

inline driver::Buffer readable(std::uint64_t at, std::uint32_t length) {
  return {GuestAddress(at), length, false};
}
inline driver::Buffer writable(std::uint64_t at, std::uint32_t length) {
  return {GuestAddress(at), length, true};
}

}  // namespace vmm::virtio_queue
