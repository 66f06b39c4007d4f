// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::virtio_queue {

/// Whether `event` is one of the last `steps` values that an index had before it became `now`,
/// modulo 2^16; any number of steps.
[[nodiscard]] constexpr bool event_in_last(std::uint16_t event, std::uint16_t now,
                                           std::uint64_t steps) {
  return static_cast<std::uint16_t>(now - event - 1) < steps;
}

/// Whether the step of an index from `before` to `now` passed what the other side waits for, that
/// is, whether `event` is one of before, before + 1, ..., now - 1; all modulo 2^16.
/// Spec: virtio 1.3, 2.7.7.2 and 2.7.10.
[[nodiscard]] constexpr bool event_passed(std::uint16_t event, std::uint16_t now,
                                          std::uint16_t before) {
  return event_in_last(event, now, static_cast<std::uint16_t>(now - before));
}

/// A place in a packed ring: an offset below the queue size and a wrap counter (2.8.1).
struct RingPosition {
  std::uint16_t offset = 0;  ///< in descriptors, below 2^15
  bool wrap = true;          ///< the ring wrap counter; true at the start

  friend constexpr bool operator==(RingPosition, RingPosition) = default;

  /// As in event suppression structures (2.8.14) and vring bases of vhost-user.
  [[nodiscard]] constexpr std::uint16_t bits() const {
    return static_cast<std::uint16_t>(offset | (wrap ? 0x8000 : 0));
  }
  /// The inverse of bits(); the offset is not checked.
  [[nodiscard]] static constexpr RingPosition from_bits(std::uint16_t bits) {
    return {.offset = static_cast<std::uint16_t>(bits & 0x7fff), .wrap = (bits & 0x8000) != 0};
  }
  /// Goes on by `n` <= `size` descriptors.
  constexpr void advance(std::uint32_t n, std::uint32_t size) {
    const std::uint32_t to = offset + n;
    const bool around = to >= size;
    offset = static_cast<std::uint16_t>(around ? to - size : to);
    wrap = wrap != around;
  }
};

/// event_passed() for a packed ring of `size` descriptors: the position went on by `steps` >= 1
/// descriptors and is `now`. An event offset beyond the ring gives some answer.
/// Spec: virtio 1.3, 2.8.10.
[[nodiscard]] constexpr bool packed_event_passed(RingPosition event, RingPosition now,
                                                 std::uint64_t steps, std::uint32_t size) {
  // How many descriptors `event` lies behind `now`: from 1 (the last one) to 2 * size.
  std::int64_t behind = std::int64_t{now.offset} - event.offset;
  if (event.wrap != now.wrap) behind += size;
  if (behind <= 0) behind += std::int64_t{2} * size;
  return static_cast<std::uint64_t>(behind) <= steps;
}

/// What a driver writes to notify the device when VIRTIO_F_NOTIFICATION_DATA was negotiated:
/// 2.9 and 4.2.3.3.
struct NotificationData {
  std::uint16_t queue = 0;  ///< vq_index; any value when parsed
  /// Split: the available index. Packed: RingPosition::bits() of the next available descriptor.
  std::uint16_t next = 0;

  /// From the 32 bits that the driver wrote; any value.
  [[nodiscard]] static constexpr NotificationData parse(std::uint32_t written) {
    return {.queue = static_cast<std::uint16_t>(written),
            .next = static_cast<std::uint16_t>(written >> 16)};
  }
  /// The 32 bits that the driver writes.
  [[nodiscard]] constexpr std::uint32_t bits() const { return queue | std::uint32_t{next} << 16; }
  /// Packed only.
  [[nodiscard]] constexpr RingPosition position() const { return RingPosition::from_bits(next); }
};

}  // namespace vmm::virtio_queue
