// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "domains.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "reserved.h"
#include "vmm/base/log.h"

namespace vmm::virtio_iommu {
namespace {

using vm_memory::Access;

Status status_of(const Error& error) {
  return error.is_os(ENOMEM) || error.is_os(ENOSPC) ? Status::kNoMemory : Status::kDeviceError;
}

/// Whether a mapping has an address of [first, last].
bool overlaps(const Mappings& mappings, std::uint64_t first, std::uint64_t last) {
  const auto above = mappings.upper_bound(last);
  return above != mappings.begin() && std::prev(above)->second.last >= first;
}

Mapping mapping_of(const MapRequest& request) {
  const std::uint32_t flags = request.flags.get();
  unsigned access = 0;
  if ((flags & kMapRead) != 0) access |= static_cast<unsigned>(Access::kRead);
  if ((flags & kMapWrite) != 0) access |= static_cast<unsigned>(Access::kWrite);
  return {.first = Iova(wide(request.first)),
          .last = wide(request.last),
          .target = GuestAddress(wide(request.target)),
          .access = static_cast<Access>(access),
          .mmio = (flags & kMapMmio) != 0};
}

}  // namespace

Domains::Domains(const Iommu::Options& options, std::shared_ptr<FaultLog> faults)
    : memory_(options.memory),
      page_bytes_(options.page_bytes),
      input_last_(last_input(options)),
      domain_last_(options.last_domain),
      max_mappings_(options.max_mappings),
      msi_(options.msi),
      faults_(std::move(faults)),
      bypass_(options.bypass) {}

Space Domains::space_of(const Member& member) {
  auto memory = memory_.snapshot();
  if (!member.domain) {
    return {.reach = bypass_ ? Reach::kAll : Reach::kNothing,
            .mappings = none_,
            .memory = std::move(memory),
            .faults = member.unattached};
  }
  const Domain& domain = domains_[*member.domain];
  return {.reach = domain.bypass ? Reach::kAll : Reach::kMapped,
          .mappings = domain.mappings,
          .memory = std::move(memory),
          .faults = member.unmapped};
}

Result<void> Domains::enter(Member& member) { return member.endpoint->enter(space_of(member)); }

Result<void> Domains::add_endpoint(std::uint32_t id, std::shared_ptr<Endpoint> endpoint) {
  const MutexLock lock(mutex_);
  if (members_.contains(id)) return fail(Error::os(EEXIST, "IOMMU endpoint"));
  auto reserved = reserved_list(endpoint->reserved(), msi_);
  if (reserved.size() > kMaxReserved) return fail(Error::os(ENOSPC, "IOMMU endpoint: reserved"));
  Member member{.endpoint = std::move(endpoint),
                .reserved = std::move(reserved),
                .domain = std::nullopt,
                .unattached = std::make_shared<EndpointFaults>(faults_, id, kFaultDomain),
                .unmapped = std::make_shared<EndpointFaults>(faults_, id, kFaultMapping)};
  VMM_TRY_DO(enter(member));
  members_.emplace(id, std::move(member));
  return {};
}

Result<void> Domains::remove_endpoint(std::uint32_t id) {
  const MutexLock lock(mutex_);
  const auto found = members_.find(id);
  if (found == members_.end()) return fail(Error::os(ENOENT, "IOMMU endpoint"));
  leave(found->second);
  (void)found->second.endpoint->enter({.reach = Reach::kNothing,
                                       .mappings = none_,
                                       .memory = vm_memory::RegionMap::empty(),
                                       .faults = found->second.unattached});
  members_.erase(found);
  return {};
}

void Domains::memory_changed() {
  const MutexLock lock(mutex_);
  for (auto& [id, member] : members_) {
    if (const auto done = enter(member); !done) {
      VMM_LOG(kError, "IOMMU endpoint %#x: guest memory has changed: %s", id,
              to_string(done.error()).c_str());
    }
  }
}

void Domains::retire() {
  const MutexLock lock(mutex_);
  retired_ = true;
}

std::size_t Domains::mapping_count() {
  const MutexLock lock(mutex_);
  return mapping_count_;
}

void Domains::set_features(std::uint64_t features) {
  const MutexLock lock(mutex_);
  features_ = features;
}

bool Domains::bypass() {
  const MutexLock lock(mutex_);
  return bypass_;
}

void Domains::set_bypass(bool bypass) {
  const MutexLock lock(mutex_);
  if ((features_ & kFeatureBypassConfig) == 0 || bypass == bypass_) return;
  bypass_ = bypass;
  for (auto& [id, member] : members_) {
    if (member.domain) continue;
    if (const auto done = enter(member); !done) {
      VMM_LOG_GUEST(kWarn, "IOMMU endpoint %#x: bypass: %s", id, to_string(done.error()).c_str());
    }
  }
}

void Domains::leave(Member& member) {
  if (!member.domain) return;
  const auto domain = domains_.find(*std::exchange(member.domain, std::nullopt));
  if (--domain->second.endpoints != 0) return;
  mapping_count_ -= domain->second.mappings.size();
  domains_.erase(domain);
}

void Domains::join(Member& member, std::uint32_t domain) {
  ++domains_[domain].endpoints;
  member.domain = domain;
}

Status Domains::check_attach(const AttachRequest& request) const {
  const std::uint32_t known = (features_ & kFeatureBypassConfig) != 0 ? kAttachBypass : 0;
  if (request.reserved.get() != 0 || (request.flags.get() & ~known) != 0) return Status::kInvalid;
  const auto member = members_.find(request.endpoint.get());
  if (member == members_.end()) return Status::kNoEntry;
  if (request.domain.get() > domain_last_) return Status::kRange;
  const auto domain = domains_.find(request.domain.get());
  if (domain == domains_.end()) return Status::kOk;
  if (domain->second.bypass != ((request.flags.get() & kAttachBypass) != 0)) {
    return Status::kInvalid;
  }
  for (const ReservedRange& range : member->second.reserved) {
    if (overlaps(domain->second.mappings, range.first, range.last)) return Status::kUnsupported;
  }
  return Status::kOk;
}

// When the endpoint cannot follow, it goes back to where it was, which is kept for that long.
Status Domains::attach(const AttachRequest& request) {
  const MutexLock lock(mutex_);
  if (const Status status = check_attach(request); status != Status::kOk) return status;
  Member& member = members_.find(request.endpoint.get())->second;
  const std::uint32_t id = request.domain.get();
  if (member.domain == id) return Status::kOk;
  Member before = member;
  join(member, id);
  domains_[id].bypass = (request.flags.get() & kAttachBypass) != 0;
  const auto done = enter(member);
  if (done) {
    leave(before);
    return Status::kOk;
  }
  leave(member);
  member.domain = before.domain;
  if (!enter(member)) leave(member);
  return status_of(done.error());
}

Status Domains::detach(const DetachRequest& request) {
  const MutexLock lock(mutex_);
  const auto found = members_.find(request.endpoint.get());
  if (found == members_.end()) return Status::kNoEntry;
  Member& member = found->second;
  if (member.domain != request.domain.get()) return Status::kInvalid;
  leave(member);
  if (const auto done = enter(member); !done) {
    VMM_LOG_GUEST(kWarn, "IOMMU endpoint %#x: detached, and reaches nothing: %s", found->first,
                  to_string(done.error()).c_str());
  }
  return Status::kOk;
}

Result<Domains::Domain*, Status> Domains::mapped_domain(std::uint32_t id) {
  const auto found = domains_.find(id);
  if (found == domains_.end()) return fail(Status::kNoEntry);
  if (found->second.bypass) return fail(Status::kInvalid);
  return &found->second;
}

Status Domains::check_range(std::uint64_t first, std::uint64_t last, std::uint64_t target) const {
  if (((first | target | (last + 1)) & (page_bytes_ - 1)) != 0) return Status::kRange;
  if (last < first) return Status::kInvalid;
  if (last > input_last_) return Status::kRange;
  const std::uint64_t most = last - first;
  return most == UINT64_MAX || target > UINT64_MAX - most ? Status::kFault : Status::kOk;
}

bool Domains::is_reserved(std::uint32_t domain, const Mapping& mapping) const {
  return std::ranges::any_of(members_, [&](const auto& entry) {
    return entry.second.domain == domain &&
           virtio_iommu::overlaps(entry.second.reserved, mapping.first.raw(), mapping.last);
  });
}

Status Domains::check_map(const MapRequest& request) const {
  const std::uint32_t known =
      kMapRead | kMapWrite | ((features_ & kFeatureMmio) != 0 ? kMapMmio : 0);
  if ((request.flags.get() & ~known) != 0) return Status::kInvalid;
  const Mapping mapping = mapping_of(request);
  const std::uint64_t first = mapping.first.raw();
  const Status range = check_range(first, mapping.last, mapping.target.raw());
  if (range != Status::kOk) return range;
  if (overlaps(domains_.find(request.domain.get())->second.mappings, first, mapping.last) ||
      is_reserved(request.domain.get(), mapping)) {
    return Status::kInvalid;
  }
  if (!mapping.mmio &&
      !memory_.snapshot()->view().check_range(mapping.target, mapping.bytes_less_one() + 1)) {
    return Status::kFault;
  }
  return mapping_count_ >= max_mappings_ ? Status::kNoMemory : Status::kOk;
}

Status Domains::map(const MapRequest& request) {
  const MutexLock lock(mutex_);
  const auto domain = mapped_domain(request.domain.get());
  if (!domain) return domain.error();
  if (const Status status = check_map(request); status != Status::kOk) return status;
  const Mapping mapping = mapping_of(request);
  if (const Status status = map_endpoints(request.domain.get(), mapping); status != Status::kOk) {
    return status;
  }
  (*domain)->mappings.emplace(mapping.first.raw(), mapping);
  (*domain)->changed = true;
  ++mapping_count_;
  return Status::kOk;
}

// All of them, or none.
Status Domains::map_endpoints(std::uint32_t domain, const Mapping& mapping) {
  const auto memory = memory_.snapshot();
  std::vector<Endpoint*> done;
  for (auto& [id, member] : members_) {
    if (member.domain != domain) continue;
    const auto mapped = member.endpoint->map(mapping, *memory);
    if (mapped) {
      done.push_back(member.endpoint.get());
      continue;
    }
    for (Endpoint* const other : done) (void)other->unmap(mapping);
    domains_[domain].changed = true;
    return status_of(mapped.error());
  }
  return Status::kOk;
}

// Mappings are disjoint: the range can cut the first and the last one alone.
Status Domains::unmap(const UnmapRequest& request) {
  const MutexLock lock(mutex_);
  const auto domain = mapped_domain(request.domain.get());
  if (!domain) return domain.error();
  const std::uint64_t first = wide(request.first);
  const std::uint64_t last = wide(request.last);
  if (request.reserved.get() != 0 || last < first) return Status::kInvalid;
  Mappings& mappings = (*domain)->mappings;
  const auto begin = mappings.lower_bound(first);
  const auto end = mappings.upper_bound(last);
  if (begin != mappings.begin() && std::prev(begin)->second.last >= first) return Status::kRange;
  if (begin == end) return Status::kOk;
  if (std::prev(end)->second.last > last) return Status::kRange;
  Status status = Status::kOk;
  for (auto& [id, member] : members_) {
    if (member.domain != request.domain.get()) continue;
    for (auto at = begin; at != end; ++at) {
      if (!member.endpoint->unmap(at->second)) status = Status::kDeviceError;
    }
  }
  mapping_count_ -= static_cast<std::size_t>(std::distance(begin, end));
  mappings.erase(begin, end);
  (*domain)->changed = true;
  return status;
}

std::optional<std::vector<ReservedRange>> Domains::probe(std::uint32_t endpoint) {
  const MutexLock lock(mutex_);
  const auto found = members_.find(endpoint);
  if (found == members_.end()) return std::nullopt;
  return found->second.reserved;
}

void Domains::commit() {
  const MutexLock lock(mutex_);
  for (auto& [id, member] : members_) {
    if (member.domain && domains_[*member.domain].changed) {
      member.endpoint->commit(space_of(member));
    }
  }
  for (auto& [id, domain] : domains_) domain.changed = false;
}

void Domains::reset() {
  const MutexLock lock(mutex_);
  if (retired_) return;
  for (auto& [id, member] : members_) {
    leave(member);
    if (const auto done = enter(member); !done) {
      VMM_LOG_GUEST(kWarn, "IOMMU endpoint %#x: reset, and reaches nothing: %s", id,
                    to_string(done.error()).c_str());
    }
  }
}

}  // namespace vmm::virtio_iommu
