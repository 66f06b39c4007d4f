// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config.h"
#include "device_set.h"
#include "failure.h"
#include "gsi_routes.h"
#include "kvm_msi.h"
#include "pci_iommu.h"
#include "pci_share.h"
#include "vmm/kvm_board/doorbells.h"
#include "vmm/kvm_ioctls/memory.h"
#include "vmm/pci/hotplug.h"
#include "vmm/pci/intx.h"
#include "vmm/pci/root_port.h"
#include "vmm/pci/segment.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// Where a guest sees a function.
struct GuestPlace {
  std::uint16_t segment = 0;
  std::uint8_t bus = 0;
  std::uint8_t slot = 0;
  std::uint8_t function = 0;
};

/// The PCI segments of a machine and the devices on them. Outlived by the buses, and to be
/// destroyed before them.
///
/// Threads: one at a time, while vCPUs use the devices.
class PciBoard final : private pci::EjectListener {
 public:
  /// Empty ports of each segment, for devices that come.
  static constexpr std::uint8_t kSparePorts = 8;
  /// The buses of a segment with ports: there are not more slots for these.
  static constexpr std::uint32_t kBusesWithPorts = pci::Segment::kSlots;

  struct Parts {
    const kvm_ioctls::Vm& vm;
    GsiRoutes& routes;
    const vm_memory::GuestMemory& memory;
    kvm_ioctls::MemorySlots& slots;  ///< of the VM; outlive the board
    vm_device::MmioBus& mmio;
    vm_device::PioBus* ports = nullptr;     ///< with them come the ports of configuration space
    std::vector<PciSpace> segments;         ///< one at least
    std::vector<vm_device::IrqLine*> intx;  ///< outlive the board
    bool msi = true;
    /// The controller tells senders apart by their number on the bus (GICv3 ITS).
    bool msi_device_ids = false;
    PciIommu* iommu = nullptr;  ///< outlives the board; nullptr: no device is behind one
    /// Devices that may leave are behind ports, as many as there are buses for. Those behind the
    /// IOMMU stay, but on segments that are all behind it.
    bool root_ports = false;
  };

  /// Makes the segments with their host bridges and puts configuration space on the buses.
  static Outcome<std::unique_ptr<PciBoard>> create(const Parts& parts);
  PciBoard(const PciBoard&) = delete;
  PciBoard& operator=(const PciBoard&) = delete;
  ~PciBoard();

  /// Puts the devices into their slots: those that name one, then the others, lowest first.
  Outcome<void> add(const std::vector<DeviceSlot>& devices);
  /// Puts one into its slot, also while the guest runs.
  Outcome<pci::FunctionAddress> add(const DeviceSlot& device);
  /// Keeps the slots that devices of the host, or of other processes, name, for later.
  Outcome<void> reserve(const std::vector<HostDeviceConfig>& devices);
  Outcome<void> reserve(const std::vector<UserDeviceConfig>& devices);
  struct Other {
    std::shared_ptr<pci::Function> function;
    /// Its DMA, which is to follow the IOMMU that there is; nullptr: it is not behind one.
    std::shared_ptr<virtio_iommu::Endpoint> endpoint = nullptr;
    bool stays = false;  ///< it is not behind a port
  };
  /// Puts another function into its slot. `name` is for messages.
  Outcome<pci::FunctionAddress> add(const std::string& name, const DeviceConfig& device,
                                    Other&& other);
  /// The guest's IOMMU; nullptr: there is none.
  [[nodiscard]] PciIommu* iommu() const { return iommu_; }
  /// The buses of each segment, with those behind ports; empty: there are no ports.
  [[nodiscard]] std::span<const std::uint32_t> buses_with_ports() const {
    return has_ports_ ? std::span(buses_) : std::span<const std::uint32_t>();
  }
  /// Puts the IOMMU, if there is one, into the lowest slot that is left.
  Outcome<void> add_iommu();

  /// Makes the ports for devices that come. From now on the guest is told of what is added.
  Outcome<void> add_spare_ports();
  /// Who hears of what the guest gives back at ports; nullptr: nobody. No vCPU runs meanwhile.
  void listen_to_ports(pci::EjectListener* listener) { listener_ = listener; }
  /// Whether a device can be taken from a running guest: on a board with ports, one of a port can.
  [[nodiscard]] bool may_leave(const std::string& id) const;
  /// Asks for the device of a port; a device elsewhere stays.
  void ask_at_port(const pci::FunctionAddress& address);

  /// Takes a device off the buses, also while the guest runs: when it returns, nothing of the
  /// machine reaches the device or is reached by it.
  void remove(const std::string& id);
  /// Where the guest sees what is there: behind a port, on the bus that it has numbered. Before it
  /// did, that which the port gets when a guest numbers buses in the order of the slots.
  [[nodiscard]] GuestPlace seen_at(const pci::FunctionAddress& address) const;
  /// Where a device is; nullopt: nowhere. The address of what is behind a port is the port's.
  [[nodiscard]] std::optional<pci::FunctionAddress> find(const std::string& id) const;
  struct Placed {
    std::string id;
    GuestPlace place;
  };
  /// All devices that have an id, in the order in which they came.
  [[nodiscard]] std::vector<Placed> placed() const;
  /// Which device is there; empty: none.
  [[nodiscard]] std::string id_at(const pci::FunctionAddress& address) const;

  /// Message-signalled interrupts for functions; nullptr: there are none.
  [[nodiscard]] vm_device::MsiVectorSource* vectors() { return msi_ ? &vectors_ : nullptr; }

 private:
  struct Place {
    std::string id;
    pci::FunctionAddress address;
    std::shared_ptr<KvmWindow> window;  // nullptr: it has none
  };
  struct Port {
    pci::FunctionAddress address;
    std::shared_ptr<pci::RootPort> port;
  };

  explicit PciBoard(const Parts& parts);
  Outcome<void> add_segment(const Parts& parts, const PciSpace& space);
  Outcome<pci::FunctionAddress> place(const std::string& name, const DeviceConfig& device,
                                      Other&& other, std::shared_ptr<KvmWindow> window);
  Outcome<void> reserve(const std::string& name, const DeviceConfig& device);
  Outcome<pci::FunctionAddress> put(const std::string& name, const DeviceConfig& device,
                                    Other&& other);
  Outcome<pci::FunctionAddress> put_on_root_bus(const std::string& name, const DeviceConfig& device,
                                                Other&& other);
  Outcome<pci::FunctionAddress> put_behind_port(const std::string& name, const Port& port,
                                                Other&& other);
  void remove_from_root_bus(const pci::FunctionAddress& address);
  Outcome<Port> port_for(const std::string& name, const DeviceConfig& device);
  Outcome<Port> make_port(const std::string& name, std::uint16_t segment,
                          std::optional<std::uint8_t> slot);
  [[nodiscard]] pci::RootPort* port_at(const pci::FunctionAddress& address) const;
  [[nodiscard]] bool has_bus_for_port(std::uint16_t segment) const;
  void ejected(pci::FunctionAddress address) override;

  const vm_memory::GuestMemory& memory_;
  kvm_ioctls::MemorySlots& slots_;
  const bool msi_;
  const bool has_ports_;
  PciIommu* const iommu_;
  kvm_board::KvmDoorbells doorbells_;
  KvmMsiSource vectors_;
  pci::IntxLines intx_;
  std::vector<Place> places_;
  std::vector<std::uint32_t> buses_;  // of each segment
  std::vector<Port> ports_;           // in the order of slots
  bool tells_ = false;                // the guest, of what is added
  pci::EjectListener* listener_ = nullptr;
  std::vector<std::shared_ptr<pci::Segment>> segments_;
};

}  // namespace vmm::reference
