// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "vmm/vfio/address_space.h"
#include "vmm/virtio_iommu/endpoint.h"

namespace vmm::virtio_iommu {

/// A device of the host, or of another process, whose DMA an AddressSpace of libs/vfio maps. The
/// address space is for this endpoint alone.
///
/// Each piece of guest memory of a mapping is a mapping of the kernel's, which pins it. Mappings to
/// registers are kept for the driver and lead nowhere. What two spaces have in common stays mapped
/// when the endpoint goes from one to the other.
class DmaEndpoint final : public Endpoint {
 public:
  /// What a driver may have of the host.
  struct Limits {
    /// Bytes that may be mapped at once: page tables of the host are made for them, however little
    /// memory they lead to.
    std::uint64_t bytes = std::uint64_t{1} << 40;
  };

  /// `reserved` are the addresses that the host's IOMMU does not map; see reserved_by().
  DmaEndpoint(std::shared_ptr<vfio::AddressSpace> space, std::vector<ReservedRange> reserved,
              const Limits& limits);

  /// What lies between the addresses that `space` can map, up to and including `last`. After its
  /// devices were attached. Errors: those of AddressSpace::usable().
  static Result<std::vector<ReservedRange>> reserved_by(vfio::AddressSpace& space,
                                                        std::uint64_t last);

  [[nodiscard]] std::span<const ReservedRange> reserved() const override { return reserved_; }
  Result<void> enter(const Space& space) override;
  /// Errors: ENOMEM beyond the limits; those of AddressSpace::map().
  Result<void> map(const Mapping& mapping, const vm_memory::RegionMap& memory) override;
  Result<void> unmap(const Mapping& mapping) override;
  void commit(const Space&) override {}

 private:
  struct Mapped {
    Mapping mapping;
    std::vector<vfio::DmaMapping> pieces;
    std::vector<const vm_memory::Region*> regions;  // of the pieces, which keep them
  };

  Result<void> follow(const Mappings& wanted, const vm_memory::RegionMap& memory);
  Result<Mapped> make(const Mapping& mapping, const vm_memory::RegionMap& memory);
  Result<void> undo(Mapped& mapped);

  const std::shared_ptr<vfio::AddressSpace> space_;
  const std::vector<ReservedRange> reserved_;
  const Limits limits_;
  std::map<std::uint64_t, Mapped> mapped_;  // by the first I/O address of the mapping
  std::uint64_t mapped_bytes_ = 0;
};

}  // namespace vmm::virtio_iommu
