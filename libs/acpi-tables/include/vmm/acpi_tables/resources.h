// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>

#include "vmm/acpi_tables/aml.h"
#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// How a device uses an interrupt (6.4.3.6).
struct InterruptRules {
  bool consumer = true;     ///< it uses the interrupt, instead of producing it
  bool edge = false;        ///< else level-triggered
  bool active_low = false;  ///< else active high
  bool shared = false;      ///< with other devices
  bool wake = false;        ///< can wake the machine
};

/// How memory of a window may be cached (6.4.3.5, _MEM).
enum class Caching : std::uint8_t { kNone = 0, kCacheable = 1, kWriteCombining = 2, kPrefetch = 3 };

/// A range that a bridge decodes, both ends included (6.4.3.5).
template <class T>
struct AddressWindow {
  /// @{
  T first;  ///< on the child's side
  T last;
  /// @}
  T translation = 0;  ///< added to make the parent's addresses
};

/// An open resource template; its end writes the end tag and closes it (6.4).
/// Errors: kBadRange when a window is reversed or its length does not fit its descriptor.
class [[nodiscard]] Resources {
 public:
  /// Leaves `other` closed.
  Resources(Resources&& other) noexcept = default;
  ~Resources() { close(); }
  /// Writes the end tag and closes; further calls do nothing.
  void close();

  /// A range of memory that the device has (6.4.3.4), in bytes. Errors: kBadRange behind 4 GiB.
  void memory32_fixed(bool writable, std::uint32_t base, std::uint32_t length);
  /// I/O ports whose base may lie from `first_base` to `last_base` (6.4.2.5). Errors: kBadRange
  /// when reversed or when they pass 0xffff.
  void io(std::uint16_t first_base, std::uint16_t last_base, std::uint8_t alignment,
          std::uint8_t length);
  /// ISA interrupts as a mask; errors: kBadInterrupt for a number above 15 or none.
  void irq(std::initializer_list<std::uint8_t> numbers, const InterruptRules& rules);
  /// The same without rules: edge-triggered, active high, exclusive (6.4.2.1).
  void irq_no_flags(std::initializer_list<std::uint8_t> numbers);
  /// Global interrupt numbers; errors: kBadInterrupt for none or more than 255.
  void interrupt(const InterruptRules& rules, std::span<const std::uint32_t> numbers);
  /// One number.
  void interrupt(const InterruptRules& rules, std::uint32_t number) {
    interrupt(rules, std::span(&number, 1));
  }
  /// A register (6.4.3.7).
  void register_at(const GenericAddress& address);

  /// @{
  /// What a bridge passes on (6.4.3.5): bus numbers, ports, memory. Errors: kBadRange.
  void bus_numbers(AddressWindow<std::uint16_t> window);
  void io_window(AddressWindow<std::uint16_t> window);
  void io_window32(AddressWindow<std::uint32_t> window);
  void io_window64(AddressWindow<std::uint64_t> window);
  void memory_window32(Caching caching, bool writable, AddressWindow<std::uint32_t> window);
  void memory_window64(Caching caching, bool writable, AddressWindow<std::uint64_t> window);
  /// @}

 private:
  friend class Aml;
  explicit Resources(TableBuffer& out, Block block);
  template <class T>
  void window(std::uint8_t kind, std::uint8_t flags, const AddressWindow<T>& window);
  [[nodiscard]] std::uint16_t irq_mask(std::initializer_list<std::uint8_t> numbers);

  TableBuffer* out_;
  Block block_;
  std::size_t size_at_;
};

}  // namespace vmm::acpi_tables
