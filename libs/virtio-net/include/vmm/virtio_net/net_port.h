// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

/// What a packet for the driver may look like: bits of TUNSETOFFLOAD.
enum Offload : std::uint32_t {
  kOffloadCsum = 0x01,
  kOffloadTso4 = 0x02,
  kOffloadTso6 = 0x04,
  kOffloadTsoEcn = 0x08,
  kOffloadUfo = 0x10,
  kOffloadUso4 = 0x20,  ///< Linux 6.2
  kOffloadUso6 = 0x40,
};

/// The host's end of a pair of queues: a descriptor of which each read and write is one packet. It
/// is made non-blocking and close-on-exec.
///
/// A tap (or macvtap) precedes packets with the header of virtio 1.3, 5.1.6, so that checksums and
/// segmentation are left to whoever can do them; sockets carry plain Ethernet frames.
///
/// Threads: any, several at once.
class NetPort {
 public:
  /// What became of a packet.
  enum class Sent {
    kDone,     ///< the port took it
    kRefused,  ///< not by this port, now or later: invalid, or nobody is there
    kFull,     ///< not now: the descriptor becomes writable
  };
  /// What came of looking for a packet.
  enum class Received {
    kPacket,   ///< there is one, whole
    kNothing,  ///< the descriptor becomes readable; also after errors, and at the end of a socket
    kLost,     ///< one without bytes or a valid place to go to, or what became of one that was
               ///< sent; there may be others
  };

  /// Takes an open queue of a tap or macvtap: sets the header's size, without offloads.
  /// Errors: those of TUNGETIFF for other descriptors; EINVAL for a tap without IFF_VNET_HDR.
  static Result<NetPort> adopt_tap(UniqueFd fd);
  /// Takes a connected socket that keeps packets apart (SOCK_SEQPACKET, SOCK_DGRAM). With
  /// `has_header`, packets on it look as those of a tap, and the other end knows all offloads.
  /// Errors: ENOTSOCK; EINVAL for a stream; those of fcntl(2).
  static Result<NetPort> adopt_socket(UniqueFd fd, bool has_header = false);

  /// The descriptor, borrowed: for polling.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether packets have the 12-byte header before them.
  [[nodiscard]] bool has_header() const { return has_header_; }
  /// The set of Offload that the other end knows; 0 without a header.
  [[nodiscard]] std::uint32_t known_offloads() const { return known_offloads_; }
  /// What packets for the driver may look like: a set of Offload. Nothing for sockets.
  Result<void> set_offloads(std::uint32_t offloads) const;
  /// Attaches the queue to its multi-queue tap, or detaches it. Nothing for others.
  Result<void> set_enabled(bool enabled) const;

  /// Sends the bytes of `pieces` as one packet, with one system call and never SIGPIPE.
  [[nodiscard]] Sent send(std::span<const virtio_queue::IoVec> pieces) const;
  /// Receives one packet; `bytes` is what was placed in `pieces`. What does not fit in is lost.
  [[nodiscard]] Received receive(std::span<const virtio_queue::IoVec> pieces,
                                 std::size_t& bytes) const;

 private:
  NetPort(UniqueFd fd, bool is_tap, bool has_header)
      : fd_(std::move(fd)), is_tap_(is_tap), has_header_(has_header) {}

  UniqueFd fd_;
  bool is_tap_;
  bool has_header_;
  bool has_end_ = false;  // which is read as a packet of no bytes
  std::uint32_t known_offloads_ = 0;
};

}  // namespace vmm::virtio_net
