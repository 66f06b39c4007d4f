// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What driver and device send each other: virtio 1.3, 5.10.6.

#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_vsock {

/// The host's address; the guest has another one: 5.10.4.
inline constexpr std::uint64_t kHostCid = 2;

///@{
/// Feature bits: 5.10.3. A driver that takes neither, or only the second, gets streams all the
/// same.
inline constexpr std::uint64_t kFeatureStream = 1u << 0;
inline constexpr std::uint64_t kFeatureSeqpacket = 1u << 1;
///@}

/// What a connection is; a packet may say anything.
enum class SocketType : std::uint16_t {
  kStream = 1,     ///< bytes
  kSeqpacket = 2,  ///< messages
};

/// What a packet is; a packet may say anything.
enum class Op : std::uint16_t {
  kInvalid = 0,
  kRequest = 1,        ///< asks for a connection
  kResponse = 2,       ///< accepts it
  kReset = 3,          ///< refuses it, or ends it at once
  kShutdown = 4,       ///< `flags` say which directions end
  kData = 5,           ///< the only one with a payload
  kCreditUpdate = 6,   ///< only what every packet says: buf_alloc and fwd_cnt
  kCreditRequest = 7,  ///< asks for an update
};

///@{
/// Flags of Op::kShutdown: what the sender will not do any more.
inline constexpr std::uint32_t kShutdownReceive = 1u << 0;
inline constexpr std::uint32_t kShutdownSend = 1u << 1;
inline constexpr std::uint32_t kShutdownBoth = kShutdownReceive | kShutdownSend;
///@}

///@{
/// Flags of Op::kData in a connection of messages: a message, or a record of them, ends here.
inline constexpr std::uint32_t kEndOfMessage = 1u << 0;
inline constexpr std::uint32_t kEndOfRecord = 1u << 1;
///@}

/// The header as it lies in memory, where it need not be aligned.
struct WireHeader {
  ///@{
  /// `struct virtio_vsock_hdr`: 5.10.6. CIDs are in two halves here.
  Le32 src_cid_low, src_cid_high;
  Le32 dst_cid_low, dst_cid_high;
  Le32 src_port, dst_port;
  Le32 len;
  Le16 type, op;
  Le32 flags;
  Le32 buf_alloc, fwd_cnt;
  ///@}
};
inline constexpr std::uint32_t kHeaderBytes = 44;  ///< of struct virtio_vsock_hdr
static_assert(sizeof(WireHeader) == kHeaderBytes);

/// A header, copied out of guest memory once; its values are the sender's word.
struct PacketHeader {
  ///@{
  /// As in `struct virtio_vsock_hdr`: 5.10.6.
  std::uint64_t src_cid = 0;
  std::uint64_t dst_cid = 0;
  std::uint32_t src_port = 0;
  std::uint32_t dst_port = 0;
  std::uint32_t len = 0;  ///< bytes of payload
  SocketType type = SocketType::kStream;
  Op op = Op::kInvalid;
  std::uint32_t flags = 0;
  std::uint32_t buf_alloc = 0;  ///< bytes that the sender keeps for what it receives
  std::uint32_t fwd_cnt = 0;    ///< bytes received and passed on, modulo 2^32
  ///@}

  ///@{
  /// Changes the byte order; every value is possible.
  [[nodiscard]] static PacketHeader parse(const WireHeader& wire);
  [[nodiscard]] WireHeader wire() const;
  ///@}

  friend bool operator==(const PacketHeader&, const PacketHeader&) = default;
};

/// The answer to a packet that belongs to no connection.
[[nodiscard]] PacketHeader reset_for(const PacketHeader& packet);

}  // namespace vmm::virtio_vsock
