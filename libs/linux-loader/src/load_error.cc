// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/load_error.h"

#include <array>

namespace vmm::linux_loader {
namespace {

// The low byte of a code is the LoadError; for kWrongArchitecture the second byte is
// 1 + 3 * kernel + guest.
constexpr std::int32_t kDetailShift = 8;

std::string_view wrong_architecture(std::int32_t detail) {
  static constexpr std::array<std::string_view, 10> kText = {
      "wrong architecture",
      "wrong architecture",
      "wrong architecture: x86_64 kernel for an aarch64 guest",
      "wrong architecture: x86_64 kernel for a riscv64 guest",
      "wrong architecture: aarch64 kernel for an x86_64 guest",
      "wrong architecture",
      "wrong architecture: aarch64 kernel for a riscv64 guest",
      "wrong architecture: riscv64 kernel for an x86_64 guest",
      "wrong architecture: riscv64 kernel for an aarch64 guest",
      "wrong architecture",
  };
  return kText[static_cast<std::size_t>(detail) % kText.size()];
}

std::string_view message(std::int32_t code) {
  switch (static_cast<LoadError>(code & 0xff)) {
    case LoadError::kNotAKernel:
      return "not an ELF, bzImage or Image file";
    case LoadError::kEmpty:
      return "the file is empty";
    case LoadError::kNotAFile:
      return "not a regular file";
    case LoadError::kTruncated:
      return "truncated: it ends before what its headers promise";
    case LoadError::kWrongArchitecture:
      return wrong_architecture(code >> kDetailShift);
    case LoadError::kOutsideRam:
      return "does not fit into guest memory";
    case LoadError::kOverflow:
      return "corrupt: addresses in its headers wrap around";
    case LoadError::kBadEntry:
      return "its entry point is outside usable guest memory";
    case LoadError::kElfClass:
      return "a 32-bit ELF file, not a 64-bit one";
    case LoadError::kElfByteOrder:
      return "a big-endian ELF file";
    case LoadError::kElfType:
      return "an ELF file that is not executable";
    case LoadError::kElfHeaderTable:
      return "invalid ELF program header table";
    case LoadError::kElfSegment:
      return "ELF segment with more bytes in the file than in memory";
    case LoadError::kElfOverlap:
      return "ELF segments overlap in memory";
    case LoadError::kElfNothingToLoad:
      return "ELF file without a segment to load";
    case LoadError::kBadPvhNote:
      return "malformed PVH note";
    case LoadError::kBzImageVersion:
      return "bzImage with a boot protocol older than 2.00";
    case LoadError::kBzImageLow:
      return "zImage: not made to be loaded at 1 MiB";
    case LoadError::kBzImageStart:
      return "bzImage with its start address below high memory";
    case LoadError::kMisaligned:
      return "the Image load address is not a multiple of 2 MiB";
    case LoadError::kUnsupportedCompression:
      return "compressed in an unsupported way (supported: gzip, zstd)";
    case LoadError::kCorrupt:
      return "corrupt compressed data";
    case LoadError::kTooLarge:
      return "too large when decompressed";
    case LoadError::kNoRoomForInitrd:
      return "no room in guest memory for the initrd";
    case LoadError::kInitrdOverlap:
      return "the initrd would overlap the kernel";
    case LoadError::kBadDeviceTree:
      return "not a valid device tree blob";
    case LoadError::kDeviceTreeTooLarge:
      return "device tree blob larger than 2 MiB";
    case LoadError::kDeviceTreeAddress:
      return "device tree address is not a multiple of 8";
    case LoadError::kFirmwareTooLarge:
      return "firmware larger than the place for it";
  }
  return "unknown load error";
}

}  // namespace

const ErrorDomain kLoadDomain{"linux-loader", &message};

Error make_error(LoadError error) {
  return {kLoadDomain, static_cast<std::int32_t>(error), "load"};
}

Error make_wrong_architecture(Arch kernel, Arch guest) {
  const std::int32_t detail =
      1 + 3 * static_cast<std::int32_t>(kernel) + static_cast<std::int32_t>(guest);
  return {kLoadDomain,
          static_cast<std::int32_t>(LoadError::kWrongArchitecture) | (detail << kDetailShift),
          "load"};
}

bool is(const Error& error, LoadError which) {
  return error.domain() == kLoadDomain && (error.code() & 0xff) == static_cast<int>(which);
}

}  // namespace vmm::linux_loader
