// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <poll.h>

#include <cstdint>
#include <memory>
#include <vector>

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
  /// `socket` carries one Ethernet frame a message. It is blocking and stays the caller's.
  /// `mtu`: 0 means 1500. Errors: ENOMEM.
  static Result<std::unique_ptr<UserNetwork>> create(int socket, std::uint16_t mtu);
  UserNetwork(const UserNetwork&) = delete;
  UserNetwork& operator=(const UserNetwork&) = delete;
  ~UserNetwork();

  /// Listens on the host's port. Errors: those of bind(2).
  Result<void> add_forward(const HostForward& forward);
  /// Serves until the other end of the socket is closed. Errors: those of poll(2).
  Result<void> run();

 private:
  explicit UserNetwork(int socket) : socket_(socket), frame_(kMaxFrame) {}

  static constexpr std::size_t kMaxFrame = 65536;

  /// False when the other end is closed.
  bool take_frames();
  int add_poll(int fd, int events);
  [[nodiscard]] int events_of(int index) const;
  std::int64_t send_frame(const void* bytes, std::size_t size) const;

  int socket_;
  Slirp* slirp_ = nullptr;
  std::vector<std::uint8_t> frame_;
  std::vector<pollfd> polls_;  // the first one is the guest's
};

}  // namespace vmm::net_user
