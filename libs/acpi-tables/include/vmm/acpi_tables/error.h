// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::acpi_tables {

/// Why a table or a piece of AML could not be written. Spec: ACPI 6.5.
enum class AcpiError : std::uint8_t {
  kTooLarge,          ///< the buffer's storage or limit is used up
  kBadName,           ///< a name or path is not made of four-character segments (20.2.2)
  kBadEisaId,         ///< not three capital letters and four hexadecimal digits (19.3.4)
  kBadUuid,           ///< not of the form aabbccdd-eeff-gghh-iijj-kkllmmnnoopp (19.6.142)
  kBadString,         ///< a string holds NUL or a character outside ASCII (20.2.3)
  kBadOperand,        ///< Local above 7, Arg above 6, 8 method arguments, sync level above 15
  kBadPackageLength,  ///< a package or field of 2^28 or more (20.2.4)
  kTooManyElements,   ///< more elements than the encoding can count
  kBadRange,          ///< a resource's bounds are reversed or its length is not representable
  kBadInterrupt,      ///< an interrupt number that the descriptor cannot hold, or none at all
  kBadDevice,         ///< a PCI device above 31 or function above 7
  kUnbalanced,        ///< a block was closed out of order, or is still open
};

/// Control-path form of the error.
Error make_error(AcpiError error);

}  // namespace vmm::acpi_tables
