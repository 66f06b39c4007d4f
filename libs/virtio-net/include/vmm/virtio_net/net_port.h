// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::virtio_net {

/// What a packet socket can do for the driver: bits of TUNSETOFFLOAD.
enum Offload : std::uint32_t {
  kOffloadCsum = 0x01,
  kOffloadTso4 = 0x02,
  kOffloadTso6 = 0x04,
  kOffloadTsoEcn = 0x08,
  kOffloadUfo = 0x10,
};

/// The host's end of a pair of queues: a descriptor of which each read and write is one packet. It
/// is non-blocking.
///
/// A tap (or macvtap) precedes packets with the header of virtio 1.3, 5.1.6, so that checksums and
/// segmentation are left to whoever can do them; other sockets carry plain Ethernet frames.
class NetPort {
 public:
  /// Takes an open queue of a tap or macvtap: sets the header's size, without offloads.
  /// Errors: EINVAL for other descriptors, or a tap without IFF_VNET_HDR.
  static Result<NetPort> adopt_tap(UniqueFd fd);
  /// Takes a socket that keeps packets apart. Errors: those of fcntl(2).
  static Result<NetPort> adopt_socket(UniqueFd fd);

  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Whether packets have the 12-byte header before them.
  [[nodiscard]] bool has_header() const { return is_tap_; }
  /// What packets for the driver may look like: a set of Offload. Nothing for sockets.
  Result<void> set_offloads(std::uint32_t offloads) const;
  /// Attaches the queue to its multi-queue tap, or detaches it. Nothing for others.
  Result<void> set_enabled(bool enabled) const;

 private:
  NetPort(UniqueFd fd, bool is_tap) : fd_(std::move(fd)), is_tap_(is_tap) {}

  UniqueFd fd_;
  bool is_tap_;
};

}  // namespace vmm::virtio_net
