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

/// Pins of a GPIO controller (6.4.3.8.1).
struct GpioPins {
  /// How a pin's voltage is held while nobody drives it.
  enum class Pull : std::uint8_t { kDefault = 0, kUp = 1, kDown = 2, kNone = 3 };

  std::string_view controller;          ///< its path, such as "\\_SB.GPI0"
  std::span<const std::uint16_t> pins;  ///< as the controller numbers them
  Pull pull = Pull::kDefault;
  bool shared = false;         ///< with other devices
  std::uint16_t debounce = 0;  ///< in hundredths of a millisecond
};

/// How a pin interrupts.
struct GpioInterruptRules {
  /// Which level, or which edge, does.
  enum class Active : std::uint8_t { kHigh = 0, kLow = 1, kBoth = 2 };

  bool edge = false;  ///< else level-triggered
  Active active = Active::kHigh;
  bool wake = false;  ///< can wake the machine
};

/// What a pin is used for.
struct GpioIoRules {
  /// In which direction it may be used; kPreserve: as the firmware left it.
  enum class Use : std::uint8_t { kAny = 0, kInput = 1, kOutput = 2, kPreserve = 3 };

  Use use = Use::kAny;
  std::uint16_t drive = 0;  ///< hundredths of a milliampere that an output gives
};

/// A device on an I2C bus (6.4.3.8.2.1).
struct I2cDevice {
  std::string_view controller;  ///< the path of the bus's controller
  std::uint16_t address;        ///< of 7 bits, or of 10
  bool ten_bits = false;
  bool shared = false;  ///< the connection, with other devices
  std::uint32_t hertz = 100'000;
};

/// A device on an SPI bus (6.4.3.8.2.2).
struct SpiDevice {
  std::string_view controller;  ///< the path of the bus's controller
  std::uint16_t select;         ///< which device of the bus it is
  bool select_high = false;     ///< it is selected by 1, else by 0
  bool three_wires = false;     ///< else four
  bool clock_high = false;      ///< the clock rests at 1, else at 0
  bool second_phase = false;    ///< data counts at the second edge of the clock, else at the first
  bool shared = false;          ///< the connection, with other devices
  std::uint8_t data_bits = 8;
  std::uint32_t hertz = 1'000'000;
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
  /// Connections to other devices' buses and pins. Errors: kBadRange without pins, for more
  /// than one that interrupts, and for an address with more bits than it has; kBadString for a path
  /// that is empty or not of ASCII characters; kTooManyElements for what does not fit a descriptor.
  void gpio_interrupt(const GpioPins& pins, const GpioInterruptRules& rules);
  void gpio_io(const GpioPins& pins, const GpioIoRules& rules);
  void i2c(const I2cDevice& device);
  void spi(const SpiDevice& device);
  /// @}

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
  void gpio(const GpioPins& pins, std::uint8_t kind, std::uint16_t flags, std::uint16_t drive);
  [[nodiscard]] bool is_path(std::string_view controller);
  void put_path(std::string_view controller);

  TableBuffer* out_;
  Block block_;
  std::size_t size_at_;
};

}  // namespace vmm::acpi_tables
