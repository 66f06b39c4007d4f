// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "bar_slots.h"
#include "config.h"
#include "failure.h"
#include "io_thread.h"
#include "pci_board.h"
#include "vmm/base/mutex.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio_pci/host.h"
#include "vmm/vfio_user/remote_space.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// PCI devices that other processes serve by vfio-user, in one life of a machine. Each has a thread
/// that answers what its server asks for, and hears of its end, so that none waits for the server
/// of another. A second one, of a device with an interrupt pin, unmasks that: it waits for the
/// server, which may wait for the first.
///
/// Made before the PCI board, which its functions outlive in no case: destroy it after the board.
class UserDevices {
 public:
  /// `mapped` and `pins` outlive this object. `pins` is nullptr: devices have no interrupt pins.
  static Outcome<std::unique_ptr<UserDevices>> create(kvm_board::MappedMemory& mapped,
                                                      vfio_pci::PinRouter* pins);
  ~UserDevices();

  /// Connects to a server, waiting for one that is not there yet, and puts the device into its
  /// slot. The device begins with a reset.
  Outcome<pci::FunctionAddress> add(const UserDeviceConfig& config, PciBoard& board);
  /// Ends the conversation with a device that has left the board.
  void remove(const std::string& id);
  /// Lets the devices reach all of the guest's memory: servers map what is shared, and ask for the
  /// rest.
  Outcome<void> map(const vm_memory::GuestMemory& memory);
  /// The same for one region more, and the end of that.
  Outcome<void> map(const std::shared_ptr<const vm_memory::Region>& region);
  void unmap(GuestAddress base);

 private:
  struct Conversation;

  UserDevices(kvm_board::MappedMemory& mapped, vfio_pci::PinRouter* pins);
  Result<std::unique_ptr<vfio::Device>> attach(const UserDeviceConfig& config,
                                               Conversation& conversation);
  static void watch(Conversation& conversation, const std::shared_ptr<vfio_user::Client>& client);
  static void serve(vfio_user::Client& client, event_manager::Registration& watch);
  Result<void> unmask_by(const std::shared_ptr<vfio_user::Client>& client, std::uint32_t index,
                         int fd);

  BarSlots slots_;
  vfio_pci::PinRouter* const pins_;
  Conversation* coming_ = nullptr;  // during attach()
  Mutex mutex_;
  std::map<std::string, std::unique_ptr<Conversation>> conversations_
      VMM_GUARDED_BY(mutex_);  // by the device's id
  std::shared_ptr<vfio_user::RemoteSpace> space_;
  std::vector<vfio::DmaMapping> mappings_;
};

}  // namespace vmm::reference
