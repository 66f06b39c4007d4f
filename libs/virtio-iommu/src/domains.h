// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "fault_log.h"
#include "layout.h"
#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/virtio_iommu/endpoint.h"
#include "vmm/virtio_iommu/iommu.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_iommu {

/// The highest I/O address.
[[nodiscard]] inline std::uint64_t last_input(const Iommu::Options& options) {
  return UINT64_MAX >> (64 - options.address_bits);
}

/// Domains, their mappings, and the endpoints that are attached to them.
///
/// Threads: any. Its lock is held while endpoints follow, and taken with no other lock but the
/// transport's; below it are those of what endpoints use. It is never taken where a device
/// translates or notes a fault.
class Domains {
 public:
  Domains(const Iommu::Options& options, std::shared_ptr<FaultLog> faults);

  /// As the functions of Iommu.
  Result<void> add_endpoint(std::uint32_t id, std::shared_ptr<Endpoint> endpoint);
  Result<void> remove_endpoint(std::uint32_t id);
  void memory_changed();
  void retire();
  [[nodiscard]] std::size_t mapping_count();

  /// What the driver has chosen; 0 when it is gone.
  void set_features(std::uint64_t features);
  [[nodiscard]] bool bypass();
  void set_bypass(bool bypass);

  /// The requests: 5.13.6.3 to 5.13.6.6.
  Status attach(const AttachRequest& request);
  Status detach(const DetachRequest& request);
  Status map(const MapRequest& request);
  Status unmap(const UnmapRequest& request);
  /// What is reserved for an endpoint; nullopt when there is none.
  std::optional<std::vector<ReservedRange>> probe(std::uint32_t endpoint);
  /// Before requests are answered: what they did is in force from now on.
  void commit();
  /// Detaches all endpoints.
  void reset();

 private:
  struct Domain {
    bool bypass = false;
    bool changed = false;  // since the last commit()
    std::size_t endpoints = 0;
    Mappings mappings;
  };
  using DomainMap = std::map<std::uint32_t, Domain>;

  struct Member {
    std::shared_ptr<Endpoint> endpoint;
    std::vector<ReservedRange> reserved;
    std::optional<std::uint32_t> domain;
    std::shared_ptr<EndpointFaults> unattached;
    std::shared_ptr<EndpointFaults> unmapped;
  };

  [[nodiscard]] Space space_of(const Member& member) VMM_REQUIRES(mutex_);
  Result<void> enter(Member& member) VMM_REQUIRES(mutex_);
  /// Takes a member out of its domain, which may end with that.
  void leave(Member& member) VMM_REQUIRES(mutex_);
  void join(Member& member, std::uint32_t domain) VMM_REQUIRES(mutex_);
  [[nodiscard]] Status check_attach(const AttachRequest& request) const VMM_REQUIRES(mutex_);
  /// kOk when the mapping may be made.
  [[nodiscard]] Status check_map(const MapRequest& request) const VMM_REQUIRES(mutex_);
  [[nodiscard]] Status check_range(std::uint64_t first, std::uint64_t last,
                                   std::uint64_t target) const;
  /// Whether an endpoint of the domain reserves a part of the range.
  [[nodiscard]] bool is_reserved(std::uint32_t domain, const Mapping& mapping) const
      VMM_REQUIRES(mutex_);
  Status map_endpoints(std::uint32_t domain, const Mapping& mapping) VMM_REQUIRES(mutex_);
  /// The domain of a MAP or UNMAP; an error when it is not there or has no mappings.
  Result<Domain*, Status> mapped_domain(std::uint32_t id) VMM_REQUIRES(mutex_);

  const vm_memory::GuestMemory& memory_;
  const std::uint64_t page_bytes_;
  const std::uint64_t input_last_;
  const std::uint32_t domain_last_;
  const std::size_t max_mappings_;
  const std::optional<ReservedRange> msi_;
  const std::shared_ptr<FaultLog> faults_;

  Mutex mutex_;
  std::map<std::uint32_t, Member> members_ VMM_GUARDED_BY(mutex_);
  DomainMap domains_ VMM_GUARDED_BY(mutex_);
  std::size_t mapping_count_ VMM_GUARDED_BY(mutex_) = 0;  // of all domains
  bool bypass_ VMM_GUARDED_BY(mutex_);
  bool retired_ VMM_GUARDED_BY(mutex_) = false;
  std::uint64_t features_ VMM_GUARDED_BY(mutex_) = 0;
  const Mappings none_;
};

}  // namespace vmm::virtio_iommu
