// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "guest_frame.h"
#include "host_forward.h"
#include "vmm/base/result.h"

struct Slirp;

namespace vmm::net_user {

/// A network that lives in this process: libslirp answers the guest's frames, and does with
/// ordinary sockets what they ask for.
///
/// Threads: one.
class UserNetwork {
 public:
  struct Options {
    std::uint16_t mtu = 0;    ///< 0 means 1500
    bool has_header = false;  ///< a virtio header precedes each frame
  };

  /// `socket` carries one Ethernet frame a message. It is blocking and stays the caller's.
  /// Errors: ENOMEM.
  static Result<std::unique_ptr<UserNetwork>> create(int socket, const Options& options);
  UserNetwork(const UserNetwork&) = delete;
  UserNetwork& operator=(const UserNetwork&) = delete;
  ~UserNetwork();

  /// Listens on the host's port. Errors: those of bind(2).
  Result<void> add_forward(const HostForward& forward);
  /// Serves until the other end of the socket is closed. Errors: those of poll(2).
  Result<void> run();

 private:
  UserNetwork(int socket, bool has_header)
      : socket_(socket), has_header_(has_header), message_(kMaxMessage) {}

  /// The largest IPv4 packet behind an Ethernet header with a VLAN tag, and a virtio header.
  static constexpr std::size_t kMaxMessage = 65535 + 18 + kVnetHeaderBytes;

  /// False when the other end is closed.
  bool take_frames();
  void take_frame(std::span<std::uint8_t> message);
  int add_poll(int fd, int events);
  [[nodiscard]] int events_of(int index) const;
  std::int64_t send_frame(const void* bytes, std::size_t size) const;

  int socket_;
  bool has_header_;
  Slirp* slirp_ = nullptr;
  std::vector<std::uint8_t> message_;
  std::vector<pollfd> polls_;  // the first one is the guest's
};

}  // namespace vmm::net_user
