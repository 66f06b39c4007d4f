// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bus_numbers.h"
#include "config.h"
#include "device_set.h"
#include "failure.h"
#include "vmm/base/address_range.h"
#include "vmm/pci/function.h"
#include "vmm/virtio_iommu/endpoint.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The virtual IOMMU in one life of a machine, and the devices that are behind it. Destroyed after
/// the PCI board, whose functions use it.
class PciIommu {
 public:
  /// Functions with neighbouring requester ids (bus << 8 | device << 3 | function) that are behind
  /// the IOMMU.
  struct Range {
    std::uint16_t segment = 0;
    std::uint16_t first = 0;
    std::uint16_t last = 0;

    [[nodiscard]] std::uint32_t first_endpoint() const {
      return std::uint32_t{segment} << 16 | first;
    }
  };
  /// A function, which may be the one behind a port.
  struct Place {
    pci::FunctionAddress address;  ///< on the root bus: its own, or the port's
    bool behind_port = false;
  };

  /// `config` and `memory` outlive the object. `msi` is where the machine's interrupt controllers
  /// take messages. nullptr: no device of `config` is behind an IOMMU.
  static Outcome<std::unique_ptr<PciIommu>> create(const VmConfig& config,
                                                   const vm_memory::GuestMemory& memory,
                                                   std::optional<AddressRange> msi);

  /// The machine ends: nothing is mapped any more for a driver that is gone.
  void retire() { device_->retire(); }
  /// Guest memory has come or gone.
  void memory_changed() { device_->memory_changed(); }
  /// A port, of those that functions come to. Before the guest runs.
  void add_port(const pci::FunctionAddress& address, std::shared_ptr<const pci::RootPort> port) {
    numbers_->add(address, std::move(port));
  }
  /// A device that is in its slot now, or about to be. Once the guest has been told who is behind
  /// the IOMMU, only those may be.
  Outcome<void> add(const std::string& name, const Place& place,
                    std::shared_ptr<virtio_iommu::Endpoint> endpoint);
  /// A device has left its slot: when this returns, its endpoint reaches nothing and is not called
  /// any more. Others are passed over.
  void remove(const pci::FunctionAddress& address);
  /// The IOMMU itself as a device of the board, and its place there.
  [[nodiscard]] const DeviceSlot& slot() const { return slot_; }
  void placed(const pci::FunctionAddress& address) { address_ = address; }

  [[nodiscard]] const pci::FunctionAddress& address() const { return address_; }
  /// The last I/O address that there is.
  [[nodiscard]] std::uint64_t last_address() const;
  /// Who is behind it, ascending: whole segments, so that devices may come there later, and single
  /// functions. For the tables of the guest, which are the same for its life. `buses`: how many
  /// each segment has with those behind ports; empty: there are no ports.
  const std::vector<Range>& tell(std::span<const std::uint32_t> buses);
  /// Whether the guest was told that whoever is there is behind the IOMMU.
  [[nodiscard]] bool was_told(const pci::FunctionAddress& address) const;
  /// Whether all of a segment is.
  [[nodiscard]] bool has_all_of(std::uint16_t segment) const;

 private:
  PciIommu(const VmConfig& config, std::shared_ptr<BusNumbers> numbers,
           std::shared_ptr<virtio_iommu::Iommu> device)
      : config_(config), numbers_(std::move(numbers)), device_(std::move(device)) {}

  const VmConfig& config_;
  const std::shared_ptr<BusNumbers> numbers_;
  const std::shared_ptr<virtio_iommu::Iommu> device_;
  std::vector<Place> behind_;
  std::optional<std::vector<Range>> told_;
  DeviceSlot slot_;
  pci::FunctionAddress address_;
};

}  // namespace vmm::reference
