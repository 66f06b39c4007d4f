// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/acpi_tables/table_buffer.h"

namespace vmm::acpi_tables {

/// The byte that makes the sum of `bytes` and itself 0 modulo 256. Spec: ACPI 6.5, 5.2.3.
[[nodiscard]] std::uint8_t checksum(std::span<const std::byte> bytes);

/// The four characters that name a table; checked when the program is compiled.
class Signature {
 public:
  /// Does not compile for characters outside of '!' to '~'.
  consteval Signature(const char (&text)[5]) {  // NOLINT(google-explicit-constructor)
    for (unsigned i = 0; i < 4; ++i) {
      if (text[i] <= ' ' || text[i] > '~') not_ascii();
      value_ |= static_cast<std::uint32_t>(text[i]) << (8 * i);
    }
  }
  /// As it stands in the table, in little-endian order.
  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }

 private:
  static void not_ascii() {}  // not constexpr: calling it does not compile
  std::uint32_t value_ = 0;
};

/// Who made a table: the fields of its header that the maker chooses. Spec: ACPI 6.5, 5.2.6.
struct Oem {
  /// @{
  /// Padded with spaces or zeros by the caller; revisions are the maker's own.
  std::array<char, 6> id{};
  std::array<char, 8> table_id{};
  std::uint32_t revision = 1;
  std::array<char, 4> creator_id{};
  std::uint32_t creator_revision = 1;
  /// @}
};

/// A generic address. Spec: ACPI 6.5, 5.2.3.2.
struct GenericAddress {
  /// Values of `space`.
  enum Space : std::uint8_t { kSystemMemory = 0, kSystemIo = 1, kPciConfig = 2, kFixed = 0x7f };
  /// Values of `access`: how wide an access is.
  enum Access : std::uint8_t { kUndefined = 0, kByte = 1, kWord = 2, kDword = 3, kQword = 4 };

  /// @{
  /// The address space, the register's bits and where they start, and how to access it.
  std::uint8_t space = kSystemMemory;
  std::uint8_t bit_width = 0;
  std::uint8_t bit_offset = 0;
  std::uint8_t access = kUndefined;
  std::uint64_t address = 0;
  /// @}

  /// A one-byte register at I/O port `port`.
  static constexpr GenericAddress io_byte(std::uint16_t port) {
    return {.space = kSystemIo, .bit_width = 8, .bit_offset = 0, .access = kByte, .address = port};
  }
};

/// Appends the 12 bytes of an address.
void put(TableBuffer& out, const GenericAddress& address);

/// One table while it is being written: the header comes first; closing (or the end of the
/// object's life) sets the length and the checksum. Tables do not nest.
class Table {
 public:
  /// Of the header that every table begins with (5.2.6).
  static constexpr std::size_t kHeaderBytes = 36;

  /// Opens a table: writes its header. `out` must outlive this object.
  Table(TableBuffer& out, Signature signature, std::uint8_t revision, const Oem& oem);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() { close(); }

  /// Sets length and checksum; further calls do nothing.
  void close();
  /// Where the table starts in its buffer.
  [[nodiscard]] std::size_t offset() const { return start_; }
  /// Where the table's content is written to.
  [[nodiscard]] TableBuffer& out() const { return out_; }

 private:
  TableBuffer& out_;
  std::size_t start_;
  std::uint32_t level_;
  bool closed_ = false;
};

/// The size of a root pointer of revision 2.
inline constexpr std::size_t kRsdpBytes = 36;
/// A root pointer of revision 2 for an XSDT at guest-physical `xsdt`. Spec: ACPI 6.5, 5.2.5.3.
[[nodiscard]] std::array<std::byte, kRsdpBytes> rsdp(const std::array<char, 6>& oem_id,
                                                     std::uint64_t xsdt);

/// Writes an XSDT that points to `tables`, given as guest-physical addresses. Spec: 5.2.8.
void write_xsdt(TableBuffer& out, const Oem& oem, std::span<const std::uint64_t> tables);

}  // namespace vmm::acpi_tables
