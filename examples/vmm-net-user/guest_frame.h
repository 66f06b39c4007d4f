// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmm::net_user {

/// Of the header that precedes a frame: virtio 1.3, 5.1.6.
inline constexpr std::size_t kVnetHeaderBytes = 12;
/// Its first byte for frames whose checksums need not be looked at.
inline constexpr std::uint8_t kChecksumsAreValid = 2;

/// Does what the guest left to its network. libslirp checks checksums, so the one that is open is
/// computed; it takes a TCP segment of any length as it is, so segmentation is nothing to do.
/// `message` is a header with its frame behind it. False: it is to be dropped, as it is too short,
/// speaks of bytes that are not there, or is of a kind that libslirp has no use for (IPv6, UDP).
[[nodiscard]] bool complete_frame(std::span<std::uint8_t> message);

}  // namespace vmm::net_user
