// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/acpi_tables/pci.h"
#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// Which memory and which CPUs are near each other, revision 3. Spec: ACPI 6.5, 5.2.16.
class Srat {
 public:
  /// Bits of memory()'s `flags` (5.2.16.2).
  enum MemoryFlags : std::uint32_t { kEnabled = 1, kHotPluggable = 2, kNonVolatile = 4 };

  /// Opens the table in `out`, which must outlive this object.
  Srat(TableBuffer& out, const Oem& oem) : table_(out, "SRAT", 3, oem) {
    out.put(std::uint32_t{1}, std::uint64_t{0});
  }
  /// Sets length and checksum; further calls do nothing.
  void close() { table_.close(); }

  /// @{
  /// Puts a CPU or an ITS into a node, that is a proximity domain; named as in the MADT (5.2.16.1,
  /// 5.2.16.3 to 5.2.16.5).
  void local_apic(std::uint32_t node, std::uint8_t apic_id);
  void local_x2apic(std::uint32_t node, std::uint32_t x2apic_id);
  void gic_cpu(std::uint32_t node, std::uint32_t uid);
  void gic_its(std::uint32_t node, std::uint32_t its_id);
  /// @}
  /// Errors: kBadRange when it passes 2^64.
  void memory(std::uint32_t node, std::uint64_t base, std::uint64_t bytes,
              std::uint32_t flags = kEnabled);
  /// A device that accesses memory by itself. Errors: kBadDevice.
  void generic_initiator(std::uint32_t node, const PciFunction& function);

 private:
  static constexpr std::uint32_t kUse = 1;
  [[nodiscard]] TableBuffer& out() const { return table_.out(); }
  Table table_;
};

/// Writes the distances between `nodes` nodes, row by row: 10 to itself, more to others.
/// Errors: kBadRange unless there are nodes * nodes of them and they keep to that.
/// Spec: ACPI 6.5, 5.2.17.
void write_slit(TableBuffer& out, const Oem& oem, std::size_t nodes,
                std::span<const std::uint8_t> distances);

/// How CPUs and caches are arranged, revision 2. Spec: ACPI 6.5, 5.2.30.
class Pptt {
 public:
  /// Bits of processor()'s `flags` (5.2.30.1).
  enum ProcessorFlags : std::uint32_t {
    kPackage = 1 << 0,
    kIdValid = 1 << 1,
    kThread = 1 << 2,
    kLeaf = 1 << 3,
    kIdentical = 1 << 4,
  };
  /// A cache (5.2.30.2).
  struct Cache {
    std::uint32_t next_level = 0;  ///< node of the cache behind it; 0: none
    /// @{
    std::uint32_t bytes = 0;  ///< its size, its number of sets, and its associativity; 0: not told
    std::uint32_t sets = 0;
    std::uint8_t ways = 0;
    /// @}
    std::uint8_t attributes = 0;    ///< allocation, type (0 data, 4 instruction, 8 both), policy
    std::uint16_t line_bytes = 64;  ///< a power of two; 0: not told
  };

  /// Opens the table in `out`, which must outlive this object.
  Pptt(TableBuffer& out, const Oem& oem) : table_(out, "PPTT", 2, oem) {}
  /// Sets length and checksum; further calls do nothing.
  void close() { table_.close(); }

  /// A group of processors or one of them; `parent` and `caches` are nodes from here, 0 none.
  /// Errors: kTooManyElements above 58 caches.
  std::uint32_t processor(std::uint32_t flags, std::uint32_t parent, std::uint32_t uid,
                          std::span<const std::uint32_t> caches = {});
  /// Adds a cache; the answer names it for `next_level` and processor().
  std::uint32_t cache(const Cache& cache);

 private:
  Table table_;
};

}  // namespace vmm::acpi_tables
