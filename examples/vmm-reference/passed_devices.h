// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config.h"
#include "failure.h"
#include "host_devices.h"
#include "pci_board.h"
#include "user_devices.h"
#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The PCI devices of a machine that are not virtio devices of this process: those of the host and
/// of other processes. What they share is there while there are any: the first one brings the
/// IOMMU's tables with all of the guest's memory, the last one takes them with it.
///
/// Made before the PCI board, and destroyed after it.
class PassedDevices {
 public:
  struct Parts {
    const VmConfig& config;  ///< outlives this object, as all of these do
    const kvm_ioctls::Vm& vm;
    kvm_board::MappedMemory& mapped;
    const vm_memory::GuestMemory& memory;
    vfio_pci::PinRouter* pins = nullptr;  ///< nullptr: no interrupt pins
    bool device_tree = false;             ///< guests find devices of the host's board in one
    event_manager::EventLoop& loop;
    /// The host wants one of its devices back. On the loop's thread.
    std::function<void(const std::string& id)> on_wanted;
  };
  explicit PassedDevices(const Parts& parts) : parts_(parts) {}

  /// Opens what devices of the host in the configuration need.
  Outcome<void> open();
  /// Those of the host; nullptr: there are none.
  [[nodiscard]] HostDevices* host() { return host_.get(); }
  /// Keeps the slots that devices of the configuration name.
  Outcome<void> reserve(PciBoard& board);
  /// Puts the devices of the configuration into their slots.
  Outcome<void> add_all(PciBoard& board);
  /// Lets them reach all of the guest's memory, which is complete now.
  Outcome<void> map_all();

  /// Puts one more into its slot, which reaches the guest's memory before the guest sees it.
  Outcome<pci::FunctionAddress> add(const HostDeviceConfig& config, PciBoard& board);
  Outcome<pci::FunctionAddress> add(const UserDeviceConfig& config, PciBoard& board);
  /// Guest memory that comes while the guest runs, and that goes. Devices of the host are not
  /// there then: check_host_devices().
  Outcome<void> memory_added(const std::shared_ptr<const vm_memory::Region>& region) {
    return user_ == nullptr ? Outcome<void>{} : user_->map(region);
  }
  void memory_removed(GuestAddress base) {
    if (user_ != nullptr) user_->unmap(base);
  }
  /// After a device has left the board: nothing of it is left here. Other ids are passed over.
  void removed(const std::string& id);

 private:
  Outcome<void> open_host(std::vector<HostDeviceConfig> devices);
  Outcome<void> open_user();

  const Parts parts_;
  std::unique_ptr<HostDevices> host_;
  std::unique_ptr<UserDevices> user_;
  std::set<std::string> host_ids_;
  std::set<std::string> user_ids_;
};

}  // namespace vmm::reference
