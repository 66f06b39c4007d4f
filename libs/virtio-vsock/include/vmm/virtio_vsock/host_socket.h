// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// Where programs of the host meet the guest: a Unix socket at PATH that they connect to, and those
/// at PATH_PORT where they listen for the guest.
///
/// Threads: any, one after another.
class HostSocket {
 public:
  /// Listens at `path`. Errors: those of sys_util::UnixListener::create().
  static Result<HostSocket> listen(const std::string& path);

  /// The listening socket; non-blocking.
  [[nodiscard]] int fd() const { return listener_.fd(); }
  /// Of the listening socket.
  [[nodiscard]] const std::string& path() const { return listener_.path(); }

  /// Connects to PATH_`port`. Errors: those of sys_util::connect_unix().
  [[nodiscard]] Result<UniqueFd> connect(std::uint32_t port, SocketType type) const;

 private:
  explicit HostSocket(sys_util::UnixListener listener) : listener_(std::move(listener)) {}

  sys_util::UnixListener listener_;
};

}  // namespace vmm::virtio_vsock
