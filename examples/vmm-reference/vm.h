// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config.h"
#include "console.h"
#include "device_set.h"
#include "event_monitor.h"
#include "failure.h"
#include "hot_devices.h"
#include "machine.h"
#include "observed_device.h"
#include "serial_input.h"
#include "vm_events.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/kvm_ioctls/system.h"

namespace vmm::reference {

/// One configured VM with its consoles, and what there is of it while it is booted: devices, and a
/// machine that is made anew at each reset. It knows how; VmControl knows when.
///
/// Belongs to the loop's thread.
class Vm {
 public:
  /// What it borrows; all of it outlives the VM.
  struct Host {
    event_manager::EventLoop& loop;
    VmEvents& events;
    EventMonitor& monitor;
    bool hotplug = false;  ///< somebody may add devices while the guest runs
  };
  /// What a device has counted: its id, then names and numbers.
  struct Counters {
    std::string id;
    std::vector<std::pair<const char*, std::uint64_t>> numbers;
  };

  /// Opens the consoles, and notes in the configuration what came out: paths of ptys, ids.
  static Outcome<std::unique_ptr<Vm>> create(VmConfig config, const Host& host);
  Vm(const Vm&) = delete;
  Vm& operator=(const Vm&) = delete;
  /// Stops, and closes the descriptors of its configuration.
  ~Vm();

  [[nodiscard]] const VmConfig& config() const { return config_; }
  [[nodiscard]] VmConfig& config() { return config_; }

  /// Loads the image, opens the devices and makes the machine, with vCPUs that stand by.
  /// After a failure there is nothing of it. Precondition: not booted.
  Outcome<void> boot();
  /// After boot() or reset(): lets the vCPUs run.
  void start();
  /// Stops vCPUs and device threads; stand_by() and then resume() let them go on.
  void pause();
  /// Failures: those of Machine::stand_by(); the VM is paused as before.
  Outcome<void> stand_by() { return machine_->stand_by(); }
  void resume();
  /// A new machine with the same devices, to be started; after a failure, as boot().
  Outcome<void> reset();
  /// Takes the machine apart and closes the devices; the consoles stay.
  void stop();

  // Devices that come and go; of the configuration alone while the VM is not booted.

  /// Nullopt: it comes at the next boot. Refusals: those of HotDevices; its descriptors are closed
  /// then.
  Result<std::optional<AddedDevice>, DeviceRefusal> add_device(const HotDevice& device);
  Result<void, DeviceRefusal> remove_device(const std::string& id);

  // Of a booted VM.

  void press_power_button() { machine_->press_power_button(); }
  [[nodiscard]] bool inject_nmi() { return machine_->inject_nmi(); }
  /// The terminal may have another size.
  void fit_console();
  [[nodiscard]] const DeviceSet& devices() const { return *devices_; }
  [[nodiscard]] std::vector<Counters> counters() const;

  /// Its devices and where the guest sees them; nullopt while it is not booted.
  [[nodiscard]] std::optional<std::vector<PlacedDevice>> placed_devices() const {
    return hot_devices_ ? std::optional(hot_devices_->placed()) : std::nullopt;
  }
  /// The guest's memory, without what is in the balloon, in bytes.
  [[nodiscard]] std::uint64_t actual_memory() const;

 private:
  Vm(VmConfig config, const Host& host)
      : config_(std::move(config)), host_(host), device_events_(host.monitor) {}
  Outcome<void> open_consoles();
  Outcome<void> assemble();
  Outcome<void> open_devices();
  Outcome<void> make_machine(GuestImage image);
  Outcome<void> make_again();
  Result<std::optional<AddedDevice>, DeviceRefusal> try_to_add(const HotDevice& device);
  Outcome<void> feed_console();
  void take_machine_apart();
  void resume_threads();

  VmConfig config_;
  Host host_;
  DeviceEvents device_events_;
  std::optional<kvm_ioctls::System> system_;
  std::unique_ptr<Console> serial_;
  std::unique_ptr<Console> debug_console_;
  std::unique_ptr<Console> console_;
  event_manager::Registration serial_output_;
  event_manager::Registration debug_output_;
  event_manager::Registration console_output_;
  std::optional<DeviceSet> devices_;
  std::optional<HotDevices> hot_devices_;
  std::unique_ptr<SerialInput> console_input_;
  std::unique_ptr<Machine> machine_;
  bool paused_ = false;
};

}  // namespace vmm::reference
