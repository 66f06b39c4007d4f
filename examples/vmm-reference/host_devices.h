// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bar_slots.h"
#include "config.h"
#include "device_alarms.h"
#include "failure.h"
#include "pci_board.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio_pci/host.h"
#include "vmm/vfio_pci/host_function.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The devices of the host in one life of a machine. One that leaves the board is closed, which
/// resets it.
///
/// Made before the PCI board, which its functions outlive in no case: destroy it after the board.
class HostDevices {
 public:
  struct Parts {
    std::vector<HostDeviceConfig> devices;       ///< those that it begins with: one at least
    std::optional<bool> iommufd = std::nullopt;  ///< how to hold them; nullopt: as the host can
    const kvm_ioctls::Vm& vm;                    ///< outlives this object, as the next two do
    kvm_board::MappedMemory& mapped;
    bool peer_to_peer = true;             ///< they reach each other's BARs
    std::uint64_t memory_bytes = 0;       ///< of the guest
    vfio_pci::PinRouter* pins = nullptr;  ///< nullptr: no interrupt pins
    bool pci = true;                      ///< the machine has a PCI bus
    bool device_tree = false;             ///< guests find platform devices in one
    event_manager::EventLoop& loop;
    /// The host wants a PCI device back; again while it has not got it. On the loop's thread.
    std::function<void(const std::string& id)> on_wanted;
  };

  /// Opens VFIO, and tells KVM of what it opens; refuses devices of buses that the machine lacks.
  static Outcome<std::unique_ptr<HostDevices>> create(const Parts& parts);

  [[nodiscard]] const std::vector<HostDeviceConfig>& pci() const { return pci_; }
  /// Devices of boards, which the architecture puts to their places.
  [[nodiscard]] const std::vector<HostDeviceConfig>& platform() const { return platform_; }
  [[nodiscard]] vfio::AddressSpace& space() { return *space_; }
  [[nodiscard]] vfio::RegionMapper& mapper() { return slots_; }

  /// Opens a PCI device, which begins with a reset of it, and puts it into its slot.
  Outcome<pci::FunctionAddress> add(const HostDeviceConfig& config, PciBoard& board);
  /// After a PCI device has left the board.
  void removed(const std::string& id) { held_.erase(id); }
  /// Lets the devices reach all of the guest's RAM, which stays as it is from now on.
  Outcome<void> map(const vm_memory::GuestMemory& memory);
  /// The same before a device comes that is not behind the guest's IOMMU, if it was not yet done.
  Outcome<void> share(const vm_memory::GuestMemory& memory) {
    shares_space_ = true;
    return map(memory);
  }

 private:
  struct Held {
    std::unique_ptr<DeviceAlarms> alarms;
    std::weak_ptr<vfio_pci::HostFunction> function;
  };

  HostDevices(const Parts& parts, kvm_ioctls::Device registry);
  Outcome<void> sort(const Parts& parts);
  Outcome<std::shared_ptr<vfio::AddressSpace>> open_space();
  /// The DMA of a device that is behind the IOMMU, of which there is one.
  Outcome<std::shared_ptr<virtio_iommu::Endpoint>> endpoint_for(
      const std::string& name, std::shared_ptr<vfio::AddressSpace> space, const PciIommu& iommu);
  Result<void> announce(int fd, bool there) const;
  Outcome<pci::FunctionAddress> open(const HostDeviceConfig& config, PciBoard& board);
  void has_failed(const std::string& id);

  const vfio::Interface interface_;
  const bool peer_to_peer_;
  const std::uint64_t memory_bytes_;
  std::vector<HostDeviceConfig> pci_;
  std::vector<HostDeviceConfig> platform_;
  kvm_ioctls::Device registry_;  // KVM's list of VFIO's groups and devices
  BarSlots slots_;
  vfio_pci::PinRouter* const pins_;
  event_manager::EventLoop& loop_;
  const std::function<void(const std::string& id)> on_wanted_;
  std::map<std::string, Held> held_;           // PCI devices by their ids
  std::shared_ptr<vfio::AddressSpace> space_;  // of those that are not behind the guest's IOMMU
  bool without_iommu_ = false;                 // those of boards, by the user's wish
  bool shares_space_ = false;                  // there are such devices
  std::vector<vfio::DmaMapping> mappings_;
};

}  // namespace vmm::reference
