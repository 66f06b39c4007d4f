// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/base/result.h"
#include "vmm/pci/pci_error.h"
#include "vmm/pci/registers.h"

namespace vmm::pci {

/// What the type 0 header says of a function: PCI 3.0, 6.1.
struct Header {
  /// @{
  /// The ids that drivers are found by (PCI 3.0, 6.2.1).
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint8_t revision = 0;
  /// @}
  std::uint32_t class_code = 0;  ///< 0xCCSSII: class, subclass, interface
  /// @{
  std::uint16_t subsystem_vendor = 0;  ///< the board's ids; 0: none
  std::uint16_t subsystem = 0;
  /// @}
  std::uint8_t interrupt_pin = 0;  ///< 0: none; 1 to 4: INTA to INTD
  bool multifunction = false;      ///< bit 7 of the header type: there are functions beside 0
};

/// The configuration space of one function: its bytes, and which of them the guest may write.
///
/// The guest side, read() and write(), takes accesses of any size and alignment. What is beyond
/// the space reads as all ones. The device side ignores the masks.
///
/// Threads: none of its own; the owner locks.
class ConfigSpace {
 public:
  /// How large the space is: 256 or 4096 bytes.
  enum class Kind : std::uint16_t {
    kConventional = kConventionalConfigBytes,
    kExpress = kConfigBytes,
  };

  /// Writes the header; the guest may write its command bits, interrupt line and cache line size.
  explicit ConfigSpace(const Header& header, Kind kind = Kind::kExpress);

  /// @{
  /// The guest's accesses.
  void read(std::uint64_t offset, std::span<std::byte> data) const;
  void write(std::uint64_t offset, std::span<const std::byte> data);
  /// @}

  /// Preconditions of the following: the value lies inside the space.
  template <std::unsigned_integral T>
  [[nodiscard]] T get(std::uint16_t offset) const {
    return load_le<T>(value_.data() + checked(offset, sizeof(T)));
  }
  /// @{
  /// The device's write, past all masks.
  template <std::unsigned_integral T>
  void set(std::uint16_t offset, T value) {
    store_le(value_.data() + checked(offset, sizeof(T)), value);
  }
  /// @}
  /// Lets the guest write the bits of `mask`.
  template <std::unsigned_integral T>
  void set_writable(std::uint16_t offset, T mask) {
    store_le(writable_.data() + checked(offset, sizeof(T)), mask);
  }
  /// Lets the guest clear the bits of `mask` by writing ones to them.
  template <std::unsigned_integral T>
  void set_clearable(std::uint16_t offset, T mask) {
    store_le(clearable_.data() + checked(offset, sizeof(T)), mask);
  }
  /// The device's view of `count` bytes, past all masks. Borrowed.
  [[nodiscard]] std::span<std::byte> bytes(std::uint16_t offset, std::size_t count) {
    return std::span(value_).subspan(checked(offset, count), count);
  }

  /// Appends to the list of capabilities: PCI 3.0, 6.7. `body` is what follows the two bytes of id
  /// and next pointer; `writable` masks its first bytes, the others are read-only. Returns the
  /// offset of the id. Errors: kNoCapabilityRoom.
  Result<std::uint16_t, PciError> add_capability(std::uint8_t id, std::span<const std::byte> body,
                                                 std::span<const std::byte> writable = {});
  /// What an extended capability begins with.
  struct ExtendedId {
    std::uint16_t id;      ///< 16 bits, of PCI Express's list
    std::uint8_t version;  ///< 4 bits
  };
  /// The same for the list that begins at 0x100: PCI Express 7.6.3. `body` follows the header of 4
  /// bytes. Errors: kNoCapabilityRoom, always in a conventional space.
  Result<std::uint16_t, PciError> add_extended_capability(ExtendedId id,
                                                          std::span<const std::byte> body,
                                                          std::span<const std::byte> writable = {});

  /// 256 or 4096 bytes.
  [[nodiscard]] std::size_t size() const { return value_.size(); }

  /// What a snapshot keeps: all bytes.
  [[nodiscard]] std::span<const std::byte> state() const { return value_; }
  /// Takes the bits that the guest may write from a saved space of the same function.
  /// Errors: kBadState when its size or any other bit differs (the capability pointers, the BARs'
  /// kinds and sizes, ...); bits of the status register apart. Nothing has changed then.
  Result<void, PciError> restore(std::span<const std::byte> state);

 private:
  [[nodiscard]] std::size_t checked(std::uint16_t offset, std::size_t count) const;
  void place(std::uint16_t offset, std::span<const std::byte> body,
             std::span<const std::byte> writable);

  std::vector<std::byte> value_;
  std::vector<std::byte> writable_;
  std::vector<std::byte> clearable_;
  std::uint16_t next_capability_ = kFirstCapability;
  std::uint16_t last_link_ = kCapabilities;  // the byte that points to the next capability
  std::uint16_t next_extended_ = kFirstExtendedCapability;
  std::uint16_t last_extended_ = 0;  // 0: none yet
};

}  // namespace vmm::pci
