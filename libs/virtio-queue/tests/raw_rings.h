// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Descriptors as a test writes them, without a driver.

#include "rig.h"

namespace vmm::virtio_queue {

inline constexpr std::uint16_t kN = kDescNext;
inline constexpr std::uint16_t kW = kDescWrite;
inline constexpr std::uint16_t kI = kDescIndirect;
inline constexpr std::uint64_t kEnd = kRam + kRamBytes;
inline constexpr std::uint64_t kB = kBuffers;

struct Desc {
  std::uint64_t address = 0;
  std::uint32_t length = 0;
  std::uint16_t flags = 0;
  std::uint16_t next = 0;  // packed: id
};

inline void put(MemoryView memory, std::uint64_t at, const Desc& desc) {
  REQUIRE(memory.write(GuestAddress(at), SplitDescriptor{Le64(desc.address), Le32(desc.length),
                                                         Le16(desc.flags), Le16(desc.next)}));
}

inline void put_packed(MemoryView memory, std::uint64_t at, const Desc& desc, bool in_ring) {
  const int avail = in_ring ? kDescAvail : 0;
  REQUIRE(memory.write(GuestAddress(at),
                       PackedDescriptor{Le64(desc.address), Le32(desc.length), Le16(desc.next),
                                        Le16(static_cast<std::uint16_t>(desc.flags | avail))}));
}

}  // namespace vmm::virtio_queue
