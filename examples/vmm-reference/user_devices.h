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
#include "vmm/vfio/address_space.h"
#include "vmm/vfio_pci/host.h"
#include "vmm/vfio_user/remote_space.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// PCI devices that other processes serve by vfio-user, in one life of a machine. A thread of its
/// own answers what servers ask for, and hears of their end. Another one, once there is a device
/// with an interrupt pin, unmasks pins: it waits for servers, which may wait for the first.
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
  /// Forgets the conversation with a device that has left the board.
  void remove(const std::string& id);
  /// Lets the devices reach all of the guest's memory: servers map what is shared, and ask for the
  /// rest.
  Outcome<void> map(const vm_memory::GuestMemory& memory);
  /// The same for one region more, and the end of that.
  Outcome<void> map(const std::shared_ptr<const vm_memory::Region>& region);
  void unmap(GuestAddress base);

 private:
  UserDevices(kvm_board::MappedMemory& mapped, vfio_pci::PinRouter* pins)
      : slots_(mapped), pins_(pins) {}
  void watch(const std::shared_ptr<vfio_user::Client>& client);
  void serve(vfio_user::Client& client);
  Result<void> unmask_by(const std::shared_ptr<vfio_user::Client>& client, std::uint32_t index,
                         int fd);

  BarSlots slots_;
  vfio_pci::PinRouter* const pins_;
  const vfio_user::Client* newest_ = nullptr;
  std::map<std::string, const vfio_user::Client*> clients_;  // by the device's id
  // Of the thread; destroyed when it has ended.
  std::map<const vfio_user::Client*, event_manager::Registration> watches_;
  std::unique_ptr<IoThread> thread_;
  // Of the thread that unmasks: pins by their devices.
  std::map<const vfio_user::Client*, event_manager::Registration> unmasks_;
  std::unique_ptr<IoThread> pin_thread_;
  std::shared_ptr<vfio_user::RemoteSpace> space_;
  std::vector<vfio::DmaMapping> mappings_;
};

}  // namespace vmm::reference
