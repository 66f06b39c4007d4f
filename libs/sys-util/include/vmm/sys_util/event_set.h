// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::sys_util {

/// A set of readiness events and registration flags, with the bit values of epoll(7).
class EventSet {
 public:
  constexpr EventSet() = default;
  /// EPOLL* bits, none of which is checked.
  constexpr explicit EventSet(std::uint32_t bits) : bits_(bits) {}

  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }  ///< EPOLL* bits
  /// Whether no bit is set.
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  /// Whether every event of `other` is in this set.
  [[nodiscard]] constexpr bool has(EventSet other) const {
    return (bits_ & other.bits_) == other.bits_;
  }
  /// Whether at least one event of `other` is in this set.
  [[nodiscard]] constexpr bool has_any(EventSet other) const { return (bits_ & other.bits_) != 0; }

  friend constexpr EventSet operator|(EventSet a, EventSet b) {
    return EventSet(a.bits_ | b.bits_);
  }
  friend constexpr bool operator==(EventSet, EventSet) = default;

 private:
  std::uint32_t bits_ = 0;
};

inline constexpr EventSet kNoEvents{};     ///< errors and hang-ups only
inline constexpr EventSet kReadable{0x1};  ///< EPOLLIN: reading does not wait
/// EPOLLPRI: out-of-band data, or what the descriptor's kind says.
inline constexpr EventSet kPriority{0x2};
inline constexpr EventSet kWritable{0x4};       ///< EPOLLOUT: writing does not wait
inline constexpr EventSet kError{0x8};          ///< delivered even if not asked for
inline constexpr EventSet kHangUp{0x10};        ///< delivered even if not asked for
inline constexpr EventSet kPeerClosed{0x2000};  ///< the peer of a stream shut its writing half
inline constexpr EventSet kOneShot{1u << 30};   ///< flag: silent after one event until modified
inline constexpr EventSet kOnChange{1u << 31};  ///< flag: edge-triggered

}  // namespace vmm::sys_util
