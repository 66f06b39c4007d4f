// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <map>
#include <string>
#include <vector>

#include "config.h"
#include "device_list.h"
#include "device_set.h"
#include "device_tree_json.h"
#include "event_monitor.h"
#include "pci_hotplug.h"

namespace vmm::reference {

/// A device that has come.
struct AddedDevice {
  std::string id;
  std::string bdf;  ///< where the guest sees it: 0000:00:06.0
};

/// Devices that come and go while a VM runs: in its configuration, on the host and in its machine.
/// They outlast resets of the guest.
///
/// Threads: the control thread.
class HotDevices {
 public:
  /// All of them outlive this object.
  HotDevices(VmConfig& config, DeviceSet& devices, EventMonitor& monitor)
      : config_(config), devices_(devices), monitor_(monitor) {}
  HotDevices(const HotDevices&) = delete;
  HotDevices& operator=(const HotDevices&) = delete;

  /// The machine that runs from now on; its end is told by forget_machine(). `hotplug` nullptr: its
  /// devices cannot come and go.
  void use_machine(PciHotplug* hotplug) { hotplug_ = hotplug; }
  /// After the machine's end, or never having had one. What the guest did not give back in time
  /// goes now.
  void forget_machine();

  /// Opens a device, puts it into its slot and tells the guest.
  /// Refusals: those of add_device(); kFailed when the machine or the host cannot. Nothing has
  /// changed then, but that descriptors which the device was to get are closed.
  Result<AddedDevice, DeviceRefusal> add(HotDevice device);
  /// Takes a device out of the configuration and asks the guest to give it back; asked again, the
  /// guest is asked again. Refusals: those of remove_device(); kFailed when the machine cannot.
  Result<void, DeviceRefusal> remove(const std::string& id);
  /// The host wants one of its devices back: as remove(), with what became of it in the log.
  void wanted(const std::string& id);
  /// The guest has given it back: it ends. What the machine tells of.
  void removed(const std::string& id);
  /// The devices of the machine; none when they cannot come and go.
  [[nodiscard]] std::vector<PlacedDevice> placed() const;
  /// Memory has come or gone: those who serve devices of the VM are told.
  void memory_changed(const vm_memory::GuestMemory& memory);

 private:
  Outcome<pci::FunctionAddress> plug(const HotDevice& device);
  void remove_opened(const std::string& id);
  /// After a device has gone: guest memory is pinned while there may be devices of the host.
  void unpin();
  template <class Config>
  Outcome<pci::FunctionAddress> open_and_plug(const Config& config);
  Outcome<pci::FunctionAddress> plug_newest(const PmemConfig&) {
    return hotplug_->add(devices_.pmems().back(), devices_.slots().back());
  }
  template <class Config>
  Outcome<pci::FunctionAddress> plug_newest(const Config&) {
    return hotplug_->add(devices_.slots().back());
  }

  VmConfig& config_;
  DeviceSet& devices_;
  EventMonitor& monitor_;
  PciHotplug* hotplug_ = nullptr;
  std::map<std::string, std::string> leaving_;  // ids and where the guest sees them
};

}  // namespace vmm::reference
