// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config.h"
#include "console.h"
#include "failure.h"
#include "io_thread.h"
#include "net_device.h"
#include "pmem_device.h"
#include "vm_events.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"

namespace vmm::reference {

/// A virtio device of the VM and the threads that serve its queues.
struct DeviceSlot {
  std::string id;
  DeviceConfig config;
  std::shared_ptr<virtio_device::VirtioDevice> device;
  std::vector<std::unique_ptr<IoThread>> threads;

  /// The threads as the workers of one machine's life.
  [[nodiscard]] std::unique_ptr<virtio_device::Workers> workers() const;
  /// The features of queues that the device offers.
  [[nodiscard]] std::uint64_t queue_features() const;
};

/// The devices that the configuration asks for. They outlive the machines that use them, so that a
/// reset of the guest keeps files, taps and sockets open.
class DeviceSet {
 public:
  /// Opens everything that they need of the host. `console` and `events` outlive the set.
  static Outcome<DeviceSet> create(const VmConfig& config, Console& console, VmEvents& events);

  /// The virtio console; nullptr when there is none.
  [[nodiscard]] virtio_console::Console* console() const { return console_.get(); }
  /// The files that the guest sees as persistent memory.
  [[nodiscard]] const std::vector<PmemFile>& pmems() const { return pmems_; }
  /// In the order in which they get their places.
  [[nodiscard]] const std::vector<DeviceSlot>& slots() const { return slots_; }

 private:
  Outcome<void> add_console(const DeviceConfig& config, Console& console);
  Outcome<void> add_rng(const RngConfig& config);
  Outcome<void> add_vsock(const VsockConfig& config);
  Outcome<void> add_watchdog(VmEvents& events);
  Outcome<void> add_rtc(const DeviceConfig& config);
  /// Adds a device and makes its threads, one for each of `queue_cpus`: the host CPUs it may use.
  Outcome<void> add(std::string id, const DeviceConfig& config,
                    std::shared_ptr<virtio_device::VirtioDevice> device,
                    const std::vector<std::vector<std::uint64_t>>& queue_cpus = {{}});
  /// The id that was asked for, or the next one of this kind: _disk0, _net1, ...
  [[nodiscard]] std::string id_or(const DeviceConfig& config, const char* kind);

  std::unique_ptr<virtio_console::ConsoleOutput> console_output_;
  std::shared_ptr<virtio_console::Console> console_;
  std::vector<std::unique_ptr<NetUserProcess>> net_processes_;  // end after their devices
  std::vector<PmemFile> pmems_;
  std::vector<DeviceSlot> slots_;
  unsigned next_id_ = 0;
};

}  // namespace vmm::reference
