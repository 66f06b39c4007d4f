// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/error.h"

namespace vmm::acpi_tables {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<AcpiError>(code)) {
    case AcpiError::kTooLarge:
      return "the tables are larger than their buffer may become";
    case AcpiError::kBadName:
      return "a name is not made of four-character segments of A-Z, 0-9 and _";
    case AcpiError::kBadEisaId:
      return "an EISA id is not three capital letters and four hexadecimal digits";
    case AcpiError::kBadUuid:
      return "a UUID is not 36 characters of hexadecimal digits and dashes";
    case AcpiError::kBadString:
      return "a string holds NUL or a character outside ASCII";
    case AcpiError::kBadOperand:
      return "there is no such local variable or method argument";
    case AcpiError::kBadPackageLength:
      return "a package or field is 2^28 or longer";
    case AcpiError::kTooManyElements:
      return "there are more elements than the encoding can count";
    case AcpiError::kBadRange:
      return "a resource range is reversed or too long for its descriptor";
    case AcpiError::kBadInterrupt:
      return "an interrupt number does not fit its descriptor, or there is none";
    case AcpiError::kBadDevice:
      return "there is no such PCI device or function number";
    case AcpiError::kUnbalanced:
      return "a block was closed out of order or is still open";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"acpi-tables", &message};

}  // namespace

Error make_error(AcpiError error) {
  return {kDomain, static_cast<std::int32_t>(error), "write ACPI tables"};
}

}  // namespace vmm::acpi_tables
