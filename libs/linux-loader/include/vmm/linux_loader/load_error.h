// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::linux_loader {

/// The processor architecture of a guest or of a kernel; every host can load for every one.
enum class Arch : std::uint8_t { kX86_64, kAarch64, kRiscv64 };

/// Why a kernel, an initrd or a device tree was refused. The codes of kLoadDomain.
enum class LoadError : std::uint8_t {
  kNotAKernel = 1,          ///< no known magic number
  kEmpty,                   ///< a source of 0 bytes
  kNotAFile,                ///< a pipe, a socket, a device, a folder
  kTruncated,               ///< the source ends before what its headers promise
  kWrongArchitecture,       ///< a kernel for another processor
  kOutsideRam,              ///< a part, run-time memory included, has no guest RAM
  kOverflow,                ///< headers: addresses or sizes pass 2^64; an ELF note: 2^32
  kBadEntry,                ///< the entry point is below high memory or outside RAM
  kElfClass,                ///< a 32-bit ELF
  kElfByteOrder,            ///< a big-endian ELF
  kElfType,                 ///< neither an executable nor a shared object (a module, a core)
  kElfHeaderTable,          ///< program headers: entry size not 56, offset below 64, too many
  kElfSegment,              ///< p_filesz larger than p_memsz
  kElfOverlap,              ///< two segments share memory
  kElfNothingToLoad,        ///< no segment to load
  kBadPvhNote,              ///< the PVH note is malformed
  kBzImageVersion,          ///< boot protocol below 2.00
  kBzImageLow,              ///< a zImage: not made to be loaded at 1 MiB
  kBzImageStart,            ///< code32_start below high memory
  kMisaligned,              ///< an Image base that is no multiple of 2 MiB
  kUnsupportedCompression,  ///< compressed by something other than gzip or zstd, or twice
  kCorrupt,                 ///< the compressed data does not decode
  kTooLarge,                ///< decompressed it passes the limit
  kNoRoomForInitrd,         ///< no RAM range below the limit holds it
  kInitrdOverlap,           ///< the address asked for is taken
  kBadDeviceTree,           ///< no device tree magic, or its size field is wrong
  kDeviceTreeTooLarge,      ///< over 2 MiB
  kDeviceTreeAddress,       ///< an address that is no multiple of 8
  kFirmwareTooLarge,        ///< larger than where it goes
};

/// The domain of LoadError; its messages are whole phrases for people.
extern const ErrorDomain kLoadDomain;

/// Control-path form of the error.
[[nodiscard]] Error make_error(LoadError error);
/// kWrongArchitecture with a message that names both.
[[nodiscard]] Error make_wrong_architecture(Arch kernel, Arch guest);

/// Whether `error` is `which`.
[[nodiscard]] bool is(const Error& error, LoadError which);

}  // namespace vmm::linux_loader
