// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdint>
#include <memory>

#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vhost_user_frontend/remote_device.h"
#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vhost_user_frontend {

struct Sink final : virtio_device::InterruptSink {
  void queue_interrupt(std::uint16_t) override { ++queue; }
  void config_interrupt() override { ++config; }
  int queue_interrupt_fd(std::uint16_t) override { return direct ? event.fd() : -1; }

  std::atomic<int> queue{0};
  std::atomic<int> config{0};
  bool direct = false;
  sys_util::EventFd event = *sys_util::EventFd::create();
};

/// A machine with 1 MiB, from 64 KiB on, and one device, which is another process's.
struct RemoteRig {
  ~RemoteRig() { end(); }

  void put_in(Result<std::shared_ptr<RemoteDevice>> made) {
    REQUIRE(made);
    device = *std::move(made);
    core = *virtio_device::TransportCore::create({.device = device,
                                                  .memory = memory,
                                                  .workers = workers,
                                                  .sink = sink,
                                                  .queue_features = device->ring_features()});
  }
  /// Up to FEATURES_OK.
  void negotiate(std::uint64_t features) {
    for (const std::uint8_t status : {std::uint8_t{0}, std::uint8_t{1}, std::uint8_t{3}}) {
      core->set_status(status);
    }
    core->set_driver_features(0, static_cast<std::uint32_t>(features));
    core->set_driver_features(1, static_cast<std::uint32_t>(features >> 32));
    core->set_status(11);
  }
  /// Before what the device speaks to goes.
  void end() {
    core.reset();
    device.reset();
  }

  vm_memory::RegionConfig ram{
      .base = GuestAddress(0x1'0000), .bytes = 1 << 20, .backing = vm_memory::Backing::kMemfd};
  vm_memory::GuestMemory memory = *vm_memory::GuestMemory::create({&ram, 1});
  std::unique_ptr<event_manager::LoopThread> io = *event_manager::LoopThread::create("io");
  virtio_device::LoopWorkers workers{{&io->loop()}};
  Sink sink;
  std::shared_ptr<RemoteDevice> device;
  std::unique_ptr<virtio_device::TransportCore> core;
};

}  // namespace vmm::vhost_user_frontend
