// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Which registers of a GIC are saved, in the order in which they are restored: what an interrupt is
// like comes before whether it is pending.

#include <cstdint>
#include <span>

#include "vmm/kvm_ioctls/arm64_state.h"

namespace vmm::arch::aarch64::kvm {

/// One register of 32 bits in a page of registers.
struct Register {
  std::uint32_t offset;
};

/// An array of registers with some bits for each interrupt.
struct RegisterRun {
  std::uint32_t offset;
  std::uint32_t bits;       ///< of an interrupt
  std::uint32_t clear = 0;  ///< registers whose 1 bits clear those here; 0: writes here are exact
  bool levels = false;      ///< the input lines: attributes of their own
};

// GICv3 (IHI 0069), 12.9 and 12.11.
inline constexpr Register kDistributorV3[] = {{0x0008}, {0x0000}};  // IIDR, CTLR
/// PROPBASER and PENDBASER in halves, before CTLR, which makes them read-only; WAKER.
inline constexpr Register kRedistributor[] = {{0x0070}, {0x0074}, {0x0078},
                                              {0x007c}, {0x0014}, {0x0000}};
inline constexpr RegisterRun kRunsV3[] = {
    {.offset = 0x0080, .bits = 1},                   // IGROUPR
    {.offset = 0x0c00, .bits = 2},                   // ICFGR
    {.offset = 0x0400, .bits = 8},                   // IPRIORITYR
    {.offset = 0x0100, .bits = 1, .clear = 0x0180},  // ISENABLER
    {.offset = 0, .bits = 1, .levels = true},
    {.offset = 0x0200, .bits = 1},                   // ISPENDR
    {.offset = 0x0300, .bits = 1, .clear = 0x0380},  // ISACTIVER
};
inline constexpr RegisterRun kRouters{.offset = 0x6000, .bits = 64};
/// In the redistributor, the registers of the private interrupts are in its second page.
inline constexpr std::uint32_t kSgiPage = 0x1'0000;

// GICv2 (IHI 0048), 4.3 and 4.4.
inline constexpr Register kDistributorV2[] = {{0x008}, {0x000}};  // IIDR, CTLR
inline constexpr RegisterRun kRunsV2[] = {
    {.offset = 0x080, .bits = 1},                  // IGROUPR
    {.offset = 0xc00, .bits = 2},                  // ICFGR
    {.offset = 0x400, .bits = 8},                  // IPRIORITYR
    {.offset = 0x800, .bits = 8},                  // ITARGETSR
    {.offset = 0x100, .bits = 1, .clear = 0x180},  // ISENABLER
    {.offset = 0x200, .bits = 1, .clear = 0x280},  // ISPENDR
    {.offset = 0x300, .bits = 1, .clear = 0x380},  // ISACTIVER
};
/// Of each CPU: which CPUs its pending SGIs are from.
inline constexpr std::uint32_t kSgiPendingSet = 0xf20;
inline constexpr std::uint32_t kSgiPendingClear = 0xf10;
inline constexpr std::uint32_t kSgiPendingWords = 4;
/// CTLR, PMR, BPR, ABPR, APR0.
inline constexpr Register kInterfaceV2[] = {{0x00}, {0x04}, {0x08}, {0x1c}, {0xd0}};

/// A register of the GICv3's CPU interface, as the attribute names it.
constexpr std::uint64_t icc(std::uint64_t crn, std::uint64_t crm, std::uint64_t op2) {
  return std::uint64_t{3} << 14 | crn << 7 | crm << 3 | op2;  // op0 3, op1 0
}
inline constexpr std::uint64_t kIccControl = icc(12, 12, 4);
/// SRE, CTLR, IGRPEN0, IGRPEN1, PMR, BPR0, BPR1.
inline constexpr std::uint64_t kInterfaceV3[] = {icc(12, 12, 5), kIccControl,  icc(12, 12, 6),
                                                 icc(12, 12, 7), icc(4, 6, 0), icc(12, 8, 3),
                                                 icc(12, 12, 3)};
/// The active priorities: as many of each as the priority bits of CTLR ask for.
constexpr std::uint64_t icc_ap0r(std::uint64_t n) { return icc(12, 8, 4 + n); }
constexpr std::uint64_t icc_ap1r(std::uint64_t n) { return icc(12, 9, n); }
constexpr std::uint32_t active_priority_registers(std::uint64_t icc_control) {
  const std::uint64_t bits = (icc_control >> 8 & 7) + 1;
  return bits >= 7 ? 4 : bits == 6 ? 2 : 1;
}

}  // namespace vmm::arch::aarch64::kvm
