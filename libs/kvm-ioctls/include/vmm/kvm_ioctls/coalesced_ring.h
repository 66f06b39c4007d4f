// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::kvm_ioctls {

/// A guest store that KVM collected instead of making an exit of it.
struct CoalescedWrite {
  std::uint64_t address;          ///< guest-physical, or the port when `pio`
  bool pio;                       ///< the store was an `out`
  std::uint32_t bytes;            ///< 1 to 8
  std::array<std::byte, 8> data;  ///< the first `bytes` count

  /// The bytes stored, in the guest's order. Borrowed from this object.
  [[nodiscard]] std::span<const std::byte> span() const { return {data.data(), bytes}; }
};

/// The ring of coalesced stores of a VM, seen through one vCPU; all vCPUs show the same ring.
///
/// Thread-safety: next() of all rings of one VM must be serialized by the caller; KVM fills it
/// concurrently.
class CoalescedRing {
 public:
  /// Over a page that KVM writes; see Vcpu::map_coalesced_ring().
  explicit CoalescedRing(sys_util::Mapping page) : page_(std::move(page)) {}

  /// The oldest store, or nullopt when there is none.
  /// Errors: KvmError::kBadRing for indices outside of the ring or a store of more than 8 bytes;
  /// EIO when this ring was moved from.
  [[nodiscard]] Result<std::optional<CoalescedWrite>> next();
  /// How many stores the ring can hold, plus one.
  [[nodiscard]] std::size_t slots() const;

 private:
  sys_util::Mapping page_;
};

}  // namespace vmm::kvm_ioctls
