// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// The CPU interface of one Arm CPU (5.2.12.14). All addresses are guest-physical.
struct GicCpu {
  std::uint32_t uid = 0;                    ///< as in the DSDT's processor device
  bool enabled = true;                      ///< else the guest does not use it
  std::uint64_t mpidr = 0;                  ///< of MPIDR_EL1: the affinity fields only
  std::uint32_t interface_number = 0;       ///< the GIC's number for it; GICv2
  std::uint32_t performance_interrupt = 0;  ///< GSI of the performance monitors; 0: none
  std::uint64_t base = 0;  ///< memory-mapped GICv2 interface; 0 with system registers
  /// @{
  std::uint64_t gicv = 0;  ///< GICv2: the virtual CPU and the hypervisor interface; 0: none
  std::uint64_t gich = 0;
  /// @}
  std::uint32_t maintenance_interrupt = 0;  ///< GSI of the virtual GIC's maintenance; 0: none
  std::uint64_t redistributor = 0;          ///< 0 when GICR structures describe it
  std::uint8_t efficiency_class = 0;        ///< smaller is more efficient; for scheduling
  std::uint16_t spe_interrupt = 0;          ///< of the statistical profiling extension; 0: none
};

/// The interrupt controllers and CPUs of a machine, revision 5; entries in the order of the calls.
/// Closed by the end of its life. Spec: ACPI 6.5, 5.2.12.
class Madt {
 public:
  /// Bits of the table's flags: dual 8259s are there, too.
  enum Flags : std::uint32_t { kNone = 0, kHas8259 = 1 };
  /// Polarity and trigger (table 5.26).
  enum InterruptFlags : std::uint16_t {
    kConforms = 0,
    kActiveHigh = 1,
    kActiveLow = 3,
    kEdge = 1 << 2,
    kLevel = 3 << 2,
  };
  /// Names every CPU in the NMI structures.
  static constexpr std::uint8_t kAllCpus = 0xff;
  /// The same for x2APICs.
  static constexpr std::uint32_t kAllX2apicCpus = 0xffff'ffff;

  /// `local_apic` is the guest-physical address at which every CPU sees its APIC; 0 on Arm.
  Madt(TableBuffer& out, const Oem& oem, std::uint32_t local_apic, std::uint32_t flags = kNone)
      : table_(out, "APIC", kRevision, oem) {
    out.put(local_apic, flags);
  }
  /// Sets length and checksum; further calls do nothing.
  void close() { table_.close(); }

  // x86. `uid` is that of the DSDT's processor device; a CPU that is not enabled may be plugged
  // later when `online_capable`.
  /// @{
  /// A CPU by its local APIC: ids up to 254 in the first form (5.2.12.2), any in the second
  /// (5.2.12.12).
  void local_apic(std::uint8_t uid, std::uint8_t apic_id, bool enabled = true,
                  bool online_capable = false) {
    out().put(std::uint8_t{0}, std::uint8_t{8}, uid, apic_id, cpu_flags(enabled, online_capable));
  }
  void local_x2apic(std::uint32_t uid, std::uint32_t x2apic_id, bool enabled = true,
                    bool online_capable = false) {
    out().put(std::uint8_t{9}, std::uint8_t{16}, std::uint16_t{0}, x2apic_id,
              cpu_flags(enabled, online_capable), uid);
  }
  /// @}
  /// An I/O APIC at guest-physical `address` whose first input is `first_gsi` (5.2.12.3).
  void io_apic(std::uint8_t id, std::uint32_t address, std::uint32_t first_gsi) {
    out().put(std::uint8_t{1}, std::uint8_t{12}, id, std::uint8_t{0}, address, first_gsi);
  }
  /// ISA interrupt `isa_irq` arrives at `gsi`.
  void interrupt_override(std::uint8_t isa_irq, std::uint32_t gsi, std::uint16_t flags) {
    out().put(std::uint8_t{2}, std::uint8_t{10}, std::uint8_t{0}, isa_irq, gsi, flags);
  }
  /// An interrupt that is non-maskable (5.2.12.6). `flags` are InterruptFlags.
  void nmi_source(std::uint32_t gsi, std::uint16_t flags) {
    out().put(std::uint8_t{3}, std::uint8_t{8}, flags, gsi);
  }
  /// @{
  /// An NMI at LINT0 or LINT1 (`lint` 0 or 1) of the CPU `uid` or of all (5.2.12.7, 5.2.12.13).
  void local_apic_nmi(std::uint8_t uid, std::uint8_t lint, std::uint16_t flags) {
    out().put(std::uint8_t{4}, std::uint8_t{6}, uid, flags, lint);
  }
  void local_x2apic_nmi(std::uint32_t uid, std::uint8_t lint, std::uint16_t flags) {
    out().put(std::uint8_t{10}, std::uint8_t{12}, flags, uid, lint, std::uint8_t{0},
              std::uint16_t{0});
  }
  /// @}

  // Arm.
  /// A CPU interface (5.2.12.14).
  void gic_cpu(const GicCpu& cpu);
  /// The distributor of a GIC of `version` 2 to 4, at a guest-physical address (5.2.12.15).
  void gic_distributor(std::uint8_t version, std::uint64_t address);
  /// A range of redistributors, in bytes, at a guest-physical address (5.2.12.17).
  void gic_redistributors(std::uint64_t address, std::uint32_t length);
  /// An interrupt translation service at a guest-physical address; `id` is the IORT's (5.2.12.18).
  void gic_its(std::uint32_t id, std::uint64_t address);

 private:
  static constexpr std::uint8_t kRevision = 5;
  [[nodiscard]] TableBuffer& out() const { return table_.out(); }
  [[nodiscard]] static std::uint32_t cpu_flags(bool enabled, bool online_capable) {
    return (enabled ? 1u : 0u) | (online_capable ? 2u : 0u);
  }

  Table table_;
};

}  // namespace vmm::acpi_tables
