// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_iommu/endpoint.h"
#include "vmm/virtio_iommu/endpoint_numbers.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_iommu {

///@{
/// Feature bits: virtio 1.3, 5.13.3.
inline constexpr std::uint64_t kFeatureInputRange = 1u << 0;
inline constexpr std::uint64_t kFeatureDomainRange = 1u << 1;
inline constexpr std::uint64_t kFeatureMapUnmap = 1u << 2;
inline constexpr std::uint64_t kFeatureProbe = 1u << 4;
inline constexpr std::uint64_t kFeatureMmio = 1u << 5;
inline constexpr std::uint64_t kFeatureBypassConfig = 1u << 6;
///@}

/// The endpoint of a PCI function, as VIOT and device trees of this project number them.
[[nodiscard]] constexpr std::uint32_t pci_endpoint(std::uint16_t segment, std::uint8_t bus,
                                                   std::uint8_t devfn) {
  return std::uint32_t{segment} << 16 | std::uint32_t{bus} << 8 | devfn;
}

class Domains;
class FaultLog;

/// The IOMMU device: virtio 1.3, 5.13. A driver attaches endpoints to domains, and maps and unmaps
/// ranges of I/O addresses of a domain to guest memory; the endpoints follow before it is told that
/// a request is done.
///
/// A driver cannot make more than a number of mappings, in all domains together; domains exist
/// while endpoints are attached to them. Faults are reported on the event queue, or dropped where
/// there are no buffers.
///
/// Threads: as VirtioDevice; the other functions from any thread.
class Iommu final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 256;  ///< the most entries of each queue

  /// How an IOMMU is made.
  struct Options {
    const vm_memory::GuestMemory& memory;  ///< guest RAM; outlives the device
    std::uint64_t page_bytes = 4096;       ///< the granularity; the host's where it pins pages
    std::uint8_t address_bits = 64;        ///< of I/O addresses: 32 to 64
    std::uint32_t last_domain = 0xffff;    ///< the highest number of a domain
    std::size_t max_mappings = 65536;      ///< of all domains together
    /// Whether endpoints that are not attached reach guest memory at its own addresses, as firmware
    /// and drivers before this one's need it. The driver may change it.
    bool bypass = true;
    /// Where MSIs of endpoints go, without a mapping; nullopt: nowhere.
    std::optional<ReservedRange> msi = std::nullopt;
    /// How the driver numbers endpoints; nullptr: as they are added.
    std::shared_ptr<const EndpointNumbers> numbers = nullptr;
  };

  /// Errors: EINVAL for options that make no sense; those of eventfd(2).
  static Result<std::shared_ptr<Iommu>> create(const Options& options);
  ~Iommu() override;

  /// Puts a device behind the IOMMU. Errors: EEXIST when there is such an endpoint; ENOSPC when it
  /// reserves more ranges than a driver can be told of; those of Endpoint::enter().
  Result<void> add_endpoint(std::uint32_t id, std::shared_ptr<Endpoint> endpoint);
  /// Takes it away. When this returns the endpoint is not called any more, and reaches nothing.
  /// Errors: ENOENT.
  Result<void> remove_endpoint(std::uint32_t id);
  /// Guest memory has other regions now: endpoints follow. Mappings to what is gone lead nowhere.
  void memory_changed();
  /// The machine ends: from now on a reset of the device leaves endpoints where they are.
  void retire();
  /// Mappings of all domains.
  [[nodiscard]] std::size_t mapping_count() const;

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kIommu;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  void set_features(std::uint64_t features) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{kQueueSize, kQueueSize};

  Iommu(const Options& options, std::shared_ptr<FaultLog> faults);

  const std::uint64_t page_bytes_;
  const std::uint64_t input_last_;
  const std::uint32_t domain_last_;
  const std::shared_ptr<const EndpointNumbers> numbers_;
  const std::shared_ptr<FaultLog> faults_;
  const std::shared_ptr<Domains> domains_;
};

}  // namespace vmm::virtio_iommu
