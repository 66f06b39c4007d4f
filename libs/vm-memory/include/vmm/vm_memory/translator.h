// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/guest_address.h"
#include "vmm/base/iova.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/memory_error.h"

namespace vmm::vm_memory {

/// What an access needs, or what a mapping permits; a set of two bits.
enum class Access : std::uint8_t { kNone = 0, kRead = 1, kWrite = 2, kReadWrite = 3 };

/// Whether all of `wanted` is in `given`.
[[nodiscard]] constexpr bool permits(Access given, Access wanted) {
  return (static_cast<unsigned>(wanted) & ~static_cast<unsigned>(given)) == 0;
}

/// Guest-physical memory that stands for a range of I/O addresses.
struct Segment {
  GuestAddress address;     ///< the first address
  std::uint64_t bytes = 0;  ///< never more than was asked for

  friend bool operator==(const Segment&, const Segment&) = default;
};

/// The step before a MemoryView when a device sits behind an IOMMU.
///
/// Thread-safety: translate() is called from each thread that handles a queue.
class Translator {
 public:
  Translator() = default;
  Translator(const Translator&) = delete;
  Translator& operator=(const Translator&) = delete;
  virtual ~Translator() = default;

  /// Where the bytes from `iova` on are: a first piece of 1 to `bytes` bytes.
  /// Precondition: bytes > 0. Errors: kOverflow when the range passes 2^64, kNotTranslated,
  /// kNoPermission.
  [[nodiscard]] virtual Result<Segment, MemoryError> translate(Iova iova, std::uint64_t bytes,
                                                               Access access) = 0;
};

}  // namespace vmm::vm_memory
