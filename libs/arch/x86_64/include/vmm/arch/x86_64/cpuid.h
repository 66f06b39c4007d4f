// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What CPUID tells the guest, made from what the host's hypervisor supports.
// Spec: Intel SDM volume 2, CPUID; AMD APM volume 3, appendix E.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/arch/x86_64/topology.h"

namespace vmm::arch::x86_64 {

/// One leaf, with the meaning of struct kvm_cpuid_entry2.
struct CpuidEntry {
  static constexpr std::uint32_t kSignificantIndex = 1;  ///< `index` is part of the key

  /// @{
  /// The leaf (EAX), and the subleaf (ECX) when kSignificantIndex is set.
  std::uint32_t function = 0;
  std::uint32_t index = 0;
  /// @}
  std::uint32_t flags = 0;  ///< KVM_CPUID_FLAG_*
  /// @{
  std::uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;  ///< what the guest reads
  /// @}

  friend constexpr bool operator==(const CpuidEntry&, const CpuidEntry&) = default;
};

/// What configure_cpuid() changes.
struct CpuidConfig {
  /// Set the TSC-deadline bit: only when the in-kernel APIC offers that timer. Without it a guest
  /// calibrates its APIC timer, which takes time.
  bool tsc_deadline_timer = true;
  bool x2apic = true;  ///< leave x2APIC visible
  bool nested = true;  ///< leave VMX and SVM visible
  bool pmu = true;     ///< leave performance counters visible
  /// At most so many physical address bits; none: the host's.
  std::optional<std::uint8_t> max_physical_bits{};
  /// The guest may be sent interrupts for APIC ids above 255 in the form KVM defines.
  bool extended_msi_destination = false;
};

/// Turns the leaves that the hypervisor supports into those of the guest: hypervisor bit, timers,
/// topology and cache sharing of `ids`, without what would tell of the host or cannot work.
/// The result still holds vCPU 0's id; see set_cpuid_apic_id(). Leaves that are missing for the
/// topology are added, at most four.
void configure_cpuid(std::vector<CpuidEntry>& entries, const ApicIds& ids,
                     const CpuidConfig& config);

/// Puts one vCPU's APIC id into the leaves that have it.
void set_cpuid_apic_id(std::span<CpuidEntry> entries, const ApicIds& ids, std::uint32_t vcpu);

/// The entry for a leaf (and its subleaf, when that counts), or nullptr.
[[nodiscard]] CpuidEntry* find_cpuid(std::span<CpuidEntry> entries, std::uint32_t function,
                                     std::uint32_t index = 0);

/// Whose rules the vendor-specific leaves follow.
enum class CpuVendor : std::uint8_t { kIntel, kAmd, kOther };
/// From leaf 0; Hygon counts as AMD, Zhaoxin and Centaur as Intel.
[[nodiscard]] CpuVendor cpu_vendor(std::span<const CpuidEntry> entries);

}  // namespace vmm::arch::x86_64
