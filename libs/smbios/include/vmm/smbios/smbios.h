// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a machine says of itself: the tables that a guest's kernel shows as /sys/class/dmi.
// Spec: SMBIOS 3.6 (DMTF DSP0134).

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/error.h"
#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"

namespace vmm::smbios {

/// Why the tables could not be made. Spec: SMBIOS 3.6.
enum class SmbiosError : std::uint8_t {
  kBadString,       ///< a string holds NUL, or an OEM string is empty (6.1.3)
  kTooManyStrings,  ///< more than 255 OEM strings, which a byte counts (7.12)
  kTooLarge,        ///< entry point and tables are larger than where they are to go
};

/// Control-path form of the error.
Error make_error(SmbiosError error);

/// A UUID in the order in which it is written: 00112233-4455-... begins with 0x00, 0x11.
using Uuid = std::array<std::uint8_t, 16>;
/// From 36 characters, hexadecimal digits of either case and dashes; nullopt: it is none.
[[nodiscard]] std::optional<Uuid> parse_uuid(std::string_view text);

/// What the tables say. Empty strings are "not specified". Everything is borrowed.
struct Identity {
  // BIOS information (type 0).
  /// @{
  /// Strings of type 0 (7.1).
  std::string_view bios_vendor{};
  std::string_view bios_version{};
  /// @}
  // System information (type 1).
  std::string_view manufacturer{};  ///< of the chassis too
  /// @{
  /// Strings of type 1 (7.2).
  std::string_view product_name{};
  std::string_view version{};
  std::string_view serial_number{};
  std::string_view sku_number{};
  std::string_view family{};
  /// @}
  Uuid uuid{};  ///< all zeros: none
  // System enclosure (type 3).
  std::string_view chassis_asset_tag{};  ///< a string of type 3 (7.4)
  // OEM strings (type 11); without any there is no such structure.
  std::span<const std::string> oem_strings{};  ///< borrowed; at most 255, none of them empty
};

/// Bytes of the entry point; the tables begin behind it, on the next multiple of 16.
inline constexpr std::size_t kEntryBytes = 24;
/// Where the tables begin, from the entry point.
inline constexpr std::size_t kTablesOffset = 32;

/// The 64-bit entry point (_SM3_) and behind it the tables of types 0, 1, 3, 11 and 127, to be put
/// at `at`: a multiple of 16, for guests without EFI within [0xf0000, 0x100000). At most `limit`
/// bytes.
Result<std::vector<std::byte>, SmbiosError> build(const Identity& identity, GuestAddress at,
                                                  std::size_t limit);

}  // namespace vmm::smbios
