// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/pci/endpoint.h"
#include "vmm/pci/function.h"
#include "vmm/pci/msi.h"
#include "vmm/pci/msix.h"
#include "vmm/vfio/address_space.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/region_memory.h"
#include "vmm/vfio_pci/config_plan.h"
#include "vmm/vfio_pci/host.h"
#include "vmm/vfio_pci/quirk.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::vfio_pci {

namespace detail {
class BarParts;
class ConfigLayout;
class Interrupts;
}  // namespace detail

/// A PCI device of the host as a function of a guest's segment.
///
/// The guest's BARs are emulated registers, which it may move; what the kernel lets us map of them
/// is memory of the guest while they are decoded, but for the pages with the MSI-X table, the
/// pending bits and what a quirk traps. All else goes through the kernel. Of configuration space
/// the guest sees the identity, capabilities as ConfigPlan says, and nothing else; the registers
/// that it may write reach the device one access at a time. The device itself decodes memory, and
/// is in D0, all the time; bus mastering is the guest's.
///
/// Threads: any. BAR accesses take no lock of this object.
class HostFunction final : public pci::Function, private pci::EndpointDevice, private PinSink {
 public:
  /// What a function is made of.
  struct Wiring {
    /// Not null; what it is attached to stays so until detach().
    std::unique_ptr<vfio::Device> device;
    /// Outlive the function, as far as they are there.
    vfio::RegionMapper* mapper = nullptr;           ///< nullptr: all accesses are trapped
    vm_device::MsiVectorSource* vectors = nullptr;  ///< nullptr: neither MSI nor MSI-X
    PinRouter* pins = nullptr;                      ///< nullptr: no interrupt pin
    bool io_ports = false;          ///< the segment has room for I/O BARs; else they are hidden
    std::uint8_t trapped_bars = 0;  ///< BARs that are not mapped, a bit each
    std::vector<std::shared_ptr<Quirk>> quirks = {};  ///< not null; each has what it traps
    /// Whose devices reach what is mapped of the BARs, where the guest has it (peer-to-peer DMA).
    /// What the host's IOMMU cannot map they do not reach, with a warning. nullptr: nobody.
    std::shared_ptr<vfio::AddressSpace> peers = nullptr;
    /// @{
    /// Eventfds, -1 for none, that the kernel signals until detach(): when the host wants the
    /// device back, now and then until it has it; and when the device has had an error that it does
    /// not recover from, for which stop() is there.
    int wanted_fd = -1;
    int error_fd = -1;
    /// @}
  };

  /// Errors: ENOTSUP for what is not a type 0 PCI device; kBadCapability; kBadBar; those of
  /// vfio::Device and MsiVectorSource.
  static Result<std::shared_ptr<HostFunction>> create(Wiring wiring);
  ~HostFunction() override;

  Result<void> attach(const pci::Attachment& attachment) override;
  /// Lets the device go as well: its interrupts are off, its memory is out of the guest, its
  /// descriptor is closed.
  void detach() override;
  void read_config(std::uint16_t offset, std::span<std::byte> data) override {
    endpoint_.read_config(offset, data);
  }
  void write_config(std::uint16_t offset, std::span<const std::byte> data) override {
    endpoint_.write_config(offset, data);
  }
  void retry_bars() override { endpoint_.retry_bars(); }

  /// Takes bus mastering and interrupts from the device, until the guest resets it.
  void stop();

 private:
  HostFunction(Wiring&& wiring, const pci::Header& header);
  Result<void> set_up(std::span<const std::byte> config, const ConfigPlan& plan);
  Result<void> add_bars(std::span<const std::byte> config);
  Result<void> add_rom();
  Result<void> add_msi(const PlannedCapability& capability, std::span<const std::byte> config);
  Result<void> add_msix(const PlannedCapability& capability, std::span<const std::byte> config);
  void add_quirks();
  void hear(vfio::PciIrq kind, int fd) const;
  Result<void> map_areas(std::uint8_t bar);
  Result<void> set_device_command(std::uint16_t guest);

  void read_bar(std::uint8_t bar, std::uint64_t offset, std::span<std::byte> data) override;
  void write_bar(std::uint8_t bar, std::uint64_t offset, std::span<const std::byte> data) override;
  void bar_moved(std::uint8_t bar, std::optional<GuestAddress> address) override;
  void before_config_read(pci::ConfigSpace& config, std::uint16_t offset,
                          std::size_t bytes) override;
  void after_config_write(pci::ConfigSpace& config, std::uint16_t offset,
                          std::size_t bytes) override;
  void set_pin(bool asserted) override { endpoint_.set_intx(asserted); }

  void update_interrupts(pci::ConfigSpace& config, std::uint16_t offset, std::size_t bytes);
  void choose_interrupts();
  void reset_function(pci::ConfigSpace& config);

  std::unique_ptr<vfio::Device> device_;  // until detach(); BAR accesses end before that
  vfio::RegionMapper* const mapper_;
  vm_device::MsiVectorSource* const vectors_;
  PinRouter* const pins_;
  const bool io_ports_;
  const std::uint8_t trapped_bars_;
  const std::vector<std::shared_ptr<Quirk>> quirks_;
  const int wanted_fd_;
  const int error_fd_;
  std::shared_ptr<vfio::AddressSpace> peers_;  // in the endpoint's lock

  std::unique_ptr<detail::ConfigLayout> layout_;  // constant
  std::unique_ptr<detail::BarParts> parts_;       // constant
  std::unique_ptr<pci::Msix> msix_;               // constant
  pci::Msix::Places msix_places_;
  // In the endpoint's lock.
  std::unique_ptr<pci::Msi> msi_;
  std::unique_ptr<detail::Interrupts> interrupts_;
  std::vector<std::int32_t> fds_;  // scratch, of the most vectors
  std::array<vfio::RegionMemory, pci::kBarCount> memory_;
  std::uint16_t device_command_ = 0;  // as the device has it
  bool stopped_ = false;

  pci::Endpoint endpoint_;
};

}  // namespace vmm::vfio_pci
