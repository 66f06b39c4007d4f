// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config.h"
#include "device_set.h"
#include "failure.h"
#include "hotplug_announcer.h"
#include "passed_devices.h"
#include "pci_board.h"
#include "pmem_device.h"
#include "vmm/base/address_range.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/pci/hotplug.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// PCI devices that come and go while the guest of a machine runs, however the guest is told.
///
/// Threads: the loop's, but for the guest's answers.
class PciHotplug final : private pci::EjectListener {
 public:
  struct Parts {
    PciBoard& board;  ///< outlives this object, as the others do
    PassedDevices& passed;
    const DeviceSet& devices;
    vm_memory::GuestMemory& memory;
    kvm_board::MappedMemory& mapped;
    AddressRange pmem_window{};  ///< for files that come; of size 0: none can
    event_manager::EventLoop& loop;
    /// How the guest is told; the listener hears what it gives back.
    std::function<std::unique_ptr<HotplugAnnouncer>(pci::EjectListener& listener)> make_announcer;
    /// A device has left the machine: the guest has given it back. On the loop's thread.
    std::function<void(const std::string& id)> on_removed;
    /// Guest memory has come or gone: devices of other processes have to know.
    std::function<void(const vm_memory::GuestMemory& memory)> on_memory_changed;
  };

  explicit PciHotplug(Parts parts);
  ~PciHotplug() { *self_ = nullptr; }
  PciHotplug(const PciHotplug&) = delete;
  PciHotplug& operator=(const PciHotplug&) = delete;

  [[nodiscard]] bool has_iommu() const { return parts_.board.iommu() != nullptr; }

  /// Puts a device into its slot and tells the guest.
  template <class Device>
  Outcome<pci::FunctionAddress> add(const Device& device) {
    VMM_TRY(const pci::FunctionAddress address, place(device));
    announcer_->came(address);
    return address;
  }
  /// The same for a file as persistent memory, which gets its addresses first.
  Outcome<pci::FunctionAddress> add(const PmemFile& pmem, const DeviceSlot& device);
  /// Where a device is; nullopt when there is none of that id.
  [[nodiscard]] std::optional<pci::FunctionAddress> find(const std::string& id) const {
    return parts_.board.find(id);
  }
  /// All devices and where the guest sees them.
  [[nodiscard]] std::vector<PciBoard::Placed> placed() const { return parts_.board.placed(); }
  /// Asks the guest to give a device back; again when it was asked before. False when there is no
  /// such device.
  [[nodiscard]] bool ask_for(const std::string& id);
  /// Whether the guest could give a device back, or there is none of that id here.
  [[nodiscard]] bool may_leave(const std::string& id) const { return parts_.board.may_leave(id); }
  /// Where the guest sees what is there.
  [[nodiscard]] GuestPlace seen_at(const pci::FunctionAddress& address) const {
    return parts_.board.seen_at(address);
  }
  /// While the devices' threads stand still no device is taken away: what the guest has given back
  /// goes at resume().
  void pause() { paused_ = true; }
  void resume();

 private:
  Outcome<pci::FunctionAddress> place(const DeviceSlot& device) { return parts_.board.add(device); }
  Outcome<pci::FunctionAddress> place(const HostDeviceConfig& device) {
    return parts_.passed.add(device, parts_.board);
  }
  Outcome<pci::FunctionAddress> place(const UserDeviceConfig& device) {
    return parts_.passed.add(device, parts_.board);
  }
  void ejected(pci::FunctionAddress address) override;
  void remove(const pci::FunctionAddress& address);
  Outcome<void> add_memory(const PmemFile& pmem);
  void remove_memory(const PmemFile& pmem);

  const Parts parts_;
  const std::unique_ptr<HotplugAnnouncer> announcer_;
  std::set<std::string> asked_;  // ids
  bool paused_ = false;
  std::vector<pci::FunctionAddress> held_;  // ejected meanwhile
  // What a posted function finds of this object: null once it is gone. Changed and read on the
  // loop's thread only.
  const std::shared_ptr<PciHotplug*> self_;
};

}  // namespace vmm::reference
