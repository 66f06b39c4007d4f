// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a sector holds, as one number: each write has numbers of its own, of which each says which
// sector it was for. So what is read tells where it comes from, and anything else is no stamp.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

/// 0: zeros.
using Stamp = std::uint32_t;

inline constexpr Stamp kAnything = 0xffff'ffff;  // of no write
inline constexpr std::uint64_t kSectorBytes = 512;
inline constexpr std::uint64_t kMostSectors = 256;  // of a disk

/// Of the Nth write of all, N from 1 on, to this sector.
inline Stamp make_stamp(std::uint32_t nth, std::uint64_t sector) {
  return static_cast<Stamp>(nth * kMostSectors + sector);
}
inline bool is_for(Stamp stamp, std::uint64_t sector) {
  return stamp == 0 || (stamp != kAnything && stamp % kMostSectors == sector);
}

inline std::uint64_t stamp_word(Stamp stamp, std::uint64_t index) {
  if (stamp == 0) return 0;
  return (std::uint64_t{stamp} << 32 | ~stamp) ^ (index * 0x9e37'79b9'7f4a'7c15);
}

inline void fill_sector(Stamp stamp, std::byte* to) {
  for (std::uint64_t i = 0; i < kSectorBytes / 8; ++i) {
    const std::uint64_t word = stamp_word(stamp, i);
    std::memcpy(to + i * 8, &word, sizeof(word));
  }
}

/// kAnything: no write left this.
inline Stamp stamp_of(const std::byte* sector) {
  std::uint64_t word = 0;
  std::memcpy(&word, sector, sizeof(word));
  const auto stamp = static_cast<Stamp>(word >> 32);
  std::array<std::byte, kSectorBytes> wanted;
  fill_sector(stamp, wanted.data());
  return std::memcmp(sector, wanted.data(), wanted.size()) == 0 ? stamp : kAnything;
}
