// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// One of the generic timer's interrupts.
struct TimerInterrupt {
  /// Bits of `flags`: edge-triggered, active low, running in every power state.
  enum Flags : std::uint32_t { kEdge = 1, kActiveLow = 2, kAlwaysOn = 4 };
  /// @{
  std::uint32_t gsi = 0;  ///< the global system interrupt, and bits of Flags
  std::uint32_t flags = 0;
  /// @}
};
/// The timer's interrupts, by exception level and security state.
struct Gtdt {
  /// @{
  TimerInterrupt secure_el1{};  ///< flags 0 and number 0: none
  TimerInterrupt non_secure_el1{};
  TimerInterrupt virtual_el1{};
  TimerInterrupt el2{};
  TimerInterrupt virtual_el2{};
  /// @}
};
/// The Arm generic timer without memory-mapped parts, revision 3. Spec: ACPI 6.5, 5.2.25.
void write_gtdt(TableBuffer& out, const Oem& oem, const Gtdt& gtdt);

/// How device ids become interrupt controller ids. Spec: Arm DEN 0049, issue C.
class Iort {
 public:
  /// `count` ids from `input` on become those from `output` on, at node `to`.
  struct Mapping {
    /// @{
    /// Ids of the input; of them `count`; ids of the output; the node's name.
    std::uint32_t input = 0;
    std::uint32_t count = 0;
    std::uint32_t output = 0;
    std::uint32_t to = 0;
    /// @}
  };

  /// Opens the table in `out`, which must outlive this object.
  Iort(TableBuffer& out, const Oem& oem);
  ~Iort() { close(); }
  Iort(const Iort&) = delete;
  Iort& operator=(const Iort&) = delete;
  /// Writes the node count and closes; further calls do nothing.
  void close();

  /// A group of ITSs; the answer names the node. Errors: kTooManyElements; kBadRange for none.
  std::uint32_t its_group(std::span<const std::uint32_t> its_ids);
  /// A cache-coherent PCI root complex. Errors: kTooManyElements; kBadRange for an empty mapping.
  std::uint32_t root_complex(std::uint32_t segment, std::span<const Mapping> mappings);

 private:
  Table table_;
  std::uint32_t nodes_ = 0;
};

}  // namespace vmm::acpi_tables
