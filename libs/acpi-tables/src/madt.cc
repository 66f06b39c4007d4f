// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/madt.h"

namespace vmm::acpi_tables {

void Madt::gic_cpu(const GicCpu& cpu) {
  constexpr std::uint32_t kParkingVersion = 0;
  constexpr std::uint64_t kParkedAddress = 0;
  out().put(std::uint8_t{11}, std::uint8_t{80}, std::uint16_t{0}, cpu.interface_number, cpu.uid,
            static_cast<std::uint32_t>(cpu.enabled), kParkingVersion, cpu.performance_interrupt,
            kParkedAddress, cpu.base, cpu.gicv, cpu.gich, cpu.maintenance_interrupt,
            cpu.redistributor, cpu.mpidr, cpu.efficiency_class, std::uint8_t{0}, cpu.spe_interrupt);
}

void Madt::gic_distributor(std::uint8_t version, std::uint64_t address) {
  constexpr std::uint32_t kVectorBase = 0;
  constexpr std::uint32_t kGicId = 0;
  out().put(std::uint8_t{12}, std::uint8_t{24}, std::uint16_t{0}, kGicId, address, kVectorBase,
            version, std::uint8_t{0}, std::uint16_t{0});
}

void Madt::gic_redistributors(std::uint64_t address, std::uint32_t length) {
  out().put(std::uint8_t{14}, std::uint8_t{16}, std::uint16_t{0}, address, length);
}

void Madt::gic_its(std::uint32_t id, std::uint64_t address) {
  out().put(std::uint8_t{15}, std::uint8_t{20}, std::uint16_t{0}, id, address, std::uint32_t{0});
}

}  // namespace vmm::acpi_tables
