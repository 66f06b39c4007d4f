// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_queue/driver/driver.h"

namespace vmm::virtio_device {

/// Counts what a transport would send on.
class CountingSink final : public InterruptSink {
 public:
  void queue_interrupt(std::uint16_t queue) override { ++queues[queue]; }
  void config_interrupt() override { ++config; }
  int queue_interrupt_fd(std::uint16_t) override { return -1; }

  std::array<std::atomic<int>, 8> queues{};
  std::atomic<int> config{0};
};

inline vm_memory::GuestMemory small_memory() {
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 1 << 20};
  return *vm_memory::GuestMemory::create({&ram, 1});
}

/// A core around the echo device, on the test's own thread.
struct CoreFixture {
  explicit CoreFixture(
      std::shared_ptr<testing::EchoDevice> echo = std::make_shared<testing::EchoDevice>())
      : device(std::move(echo)),
        core(*TransportCore::create(
            {.device = device, .memory = memory, .workers = workers, .sink = sink})) {}

  /// Writes the steps of 3.1.1 up to FEATURES_OK.
  void negotiate(std::uint64_t features) {
    core->set_status(kAcknowledge);
    core->set_status(kAcknowledge | kDriver);
    core->set_driver_features(0, static_cast<std::uint32_t>(features));
    core->set_driver_features(1, static_cast<std::uint32_t>(features >> 32));
    core->set_status(kAcknowledge | kDriver | kFeaturesOk);
  }
  static virtio_queue::RingAddresses rings(std::uint32_t index) {
    const std::uint64_t base = 0x1000 * (4 * index + 1);
    return {.descriptors = GuestAddress(base),
            .driver = GuestAddress(base + 0x1000),
            .device = GuestAddress(base + 0x2000)};
  }
  void set_up_queue(std::uint32_t index) {
    virtio_queue::QueueConfig* const queue = core->editable_queue(index);
    if (queue == nullptr) return;
    (void)queue->set_size(8);
    (void)queue->set_descriptors(rings(index).descriptors);
    (void)queue->set_driver(rings(index).driver);
    (void)queue->set_device(rings(index).device);
    core->enable_queue(index);
  }
  /// Everything up to DRIVER_OK.
  void go(std::uint64_t features = kFeatureVersion1) {
    negotiate(features);
    for (std::uint32_t index = 0; index < core->queue_count(); ++index) set_up_queue(index);
    core->set_status(kRunning);
  }
  virtio_queue::driver::Driver driver(std::uint32_t index, bool packed = false) {
    return *virtio_queue::driver::Driver::create(
        {.rings = rings(index), .size = 8, .packed = packed}, memory.view());
  }
  void run() {
    for (int i = 0; i < 4; ++i) (void)loop.run_once(std::chrono::milliseconds(0));
  }

  static constexpr std::uint8_t kRunning = kAcknowledge | kDriver | kFeaturesOk | kDriverOk;

  vm_memory::GuestMemory memory = small_memory();
  event_manager::EventLoop loop = *event_manager::EventLoop::create();
  InlineWorkers workers{loop};
  CountingSink sink;
  std::shared_ptr<testing::EchoDevice> device;
  std::unique_ptr<TransportCore> core;
};

}  // namespace vmm::virtio_device
