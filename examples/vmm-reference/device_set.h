// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "balloon_device.h"
#include "config.h"
#include "console.h"
#include "disk_device.h"
#include "failure.h"
#include "hot_memory.h"
#include "io_thread.h"
#include "kvm_window.h"
#include "net_device.h"
#include "observed_device.h"
#include "pmem_device.h"
#include "vhost_user_device.h"
#include "vm_events.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_watchdog/watchdog.h"

namespace vmm::reference {

/// A virtio device of the VM and the threads that serve its queues.
struct DeviceSlot {
  std::string id;
  DeviceConfig config;
  /// Of user-mode networks; ends after the device.
  std::unique_ptr<net_user::NetUserProcess> process = nullptr;
  std::shared_ptr<virtio_device::VirtioDevice> device;
  std::vector<std::shared_ptr<IoThread>> threads;
  /// Those features of queues that who serves them has.
  std::uint64_t queue_features_mask = ~std::uint64_t{0};
  std::shared_ptr<RemoteDevice> remote = nullptr;      ///< `device`, if another process serves it
  std::shared_ptr<KvmWindow> window = nullptr;         ///< of its shared memory
  std::shared_ptr<ObservedDevice> observed = nullptr;  ///< `device`, when its events are told
  std::shared_ptr<virtio_blk::Blk> disk = nullptr;     ///< when it is one that the VMM serves
  std::shared_ptr<virtio_net::Net> net = nullptr;      ///< when the VMM moves its packets
  bool stays = false;                                  ///< it does not come and go

  /// As IoThread's, all of its threads.
  void pause() const;
  void resume() const;
  /// The threads as the workers of one machine's life; `threads` outlive them.
  [[nodiscard]] std::unique_ptr<virtio_device::Workers> workers() const;
  /// The features of queues that the device offers.
  [[nodiscard]] std::uint64_t queue_features() const;
};

/// The devices that the configuration asks for. They outlive the machines that use them, so that a
/// reset of the guest keeps files, taps and sockets open.
class DeviceSet {
 public:
  /// What the devices borrow; all of it outlives the set.
  struct Host {
    Console& console;
    VmEvents& events;
    DeviceEvents& device_events;
  };

  /// Opens everything that they need of the host. name_devices() has named them.
  static Outcome<DeviceSet> create(const VmConfig& config, const Host& host);

  /// Opens one device more, the last of the slots. Its configuration has an id.
  Outcome<void> add(const DiskConfig& config);
  Outcome<void> add(const NetConfig& config);
  Outcome<void> add(const GenericVhostUserConfig& config);
  Outcome<void> add(const FsConfig& config);
  Outcome<void> add(const PmemConfig& config);
  Outcome<void> add(const VsockConfig& config);
  /// Ends a device, its threads and all that it has opened. No machine uses it any more.
  void remove(const std::string& id);

  /// The virtio console; nullptr when there is none.
  [[nodiscard]] virtio_console::Console* console() const { return console_.get(); }
  /// Tells the guest how large the terminal of its console is now.
  void fit_console(const Console& console);
  /// The files that the guest sees as persistent memory.
  [[nodiscard]] const std::vector<PmemFile>& pmems() const { return pmems_; }
  /// The first address behind `ram_end` and memory that comes while the guest runs.
  [[nodiscard]] GuestAddress memory_end(GuestAddress ram_end) const {
    return hot_memory_ == nullptr ? ram_end : hot_memory_->range().end();
  }
  /// nullptr when there is none.
  [[nodiscard]] HotMemory* hot_memory() const { return hot_memory_.get(); }
  /// nullptr when there is none.
  [[nodiscard]] virtio_balloon::Balloon* balloon() const { return balloon_.get(); }
  /// Whether devices of the host have guest memory pinned, so that the balloon gives none back.
  void set_pinned(bool pinned) { reclaim_->set_pinned(pinned); }
  /// Lets the threads of all devices stand still, those of devices that come meanwhile too, and the
  /// watchdog not mind. Not twice. What other processes and the kernel serve goes on.
  void pause();
  /// Ends a pause().
  void resume();
  /// In the order in which they get their places.
  [[nodiscard]] const std::vector<DeviceSlot>& slots() const { return slots_; }

 private:
  explicit DeviceSet(DeviceEvents& device_events) : device_events_(&device_events) {}
  /// A device that another process serves.
  Outcome<void> add_remote(std::string id, const DeviceConfig& config,
                           std::shared_ptr<RemoteDevice> device);
  Outcome<void> add_console(const DeviceConfig& config, Console& console);
  Outcome<void> add_rng(const RngConfig& config);
  Outcome<void> add_watchdog(VmEvents& events);
  Outcome<void> add_rtc(const DeviceConfig& config);
  /// A device that is there for good, with a thread.
  Outcome<void> add_fixed(std::string id, const DeviceConfig& config,
                          std::shared_ptr<virtio_device::VirtioDevice> device);
  /// Adds a device and makes its threads, one for each of `queue_cpus`: the host CPUs it may use.
  Outcome<void> add(ThreadKind kind, std::string id, const DeviceConfig& config,
                    std::shared_ptr<virtio_device::VirtioDevice> device,
                    const std::vector<std::vector<std::uint64_t>>& queue_cpus = {{}});

  std::unique_ptr<virtio_console::ConsoleOutput> console_output_;
  std::shared_ptr<virtio_console::Console> console_;
  RateLimitGroups groups_;
  std::vector<PmemFile> pmems_;
  std::unique_ptr<HotMemory> hot_memory_;
  std::vector<DeviceSlot> slots_;
  bool paused_ = false;
  std::shared_ptr<PinnableReclaim> reclaim_ =
      std::make_shared<PinnableReclaim>(virtio_balloon::make_discarding_reclaim());
  std::shared_ptr<virtio_balloon::Balloon> balloon_;
  std::shared_ptr<virtio_watchdog::Watchdog> watchdog_;
  DeviceEvents* device_events_;
};

}  // namespace vmm::reference
