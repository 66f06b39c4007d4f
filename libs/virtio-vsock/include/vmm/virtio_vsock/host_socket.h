// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// Where programs of the host meet the guest: a Unix socket at PATH that they connect to, and those
/// at PATH_PORT where they listen for the guest.
///
/// Threads: any, one after another.
class HostSocket {
 public:
  /// Listens at `path`, with the access rights that umask(2) leaves. A socket that nobody listens
  /// on, left over from a process that died, is replaced.
  /// Errors: EADDRINUSE when somebody listens there or it is no socket; ENAMETOOLONG above 107
  /// bytes; EINVAL for an empty path; those of bind(2) and listen(2).
  static Result<HostSocket> listen(const std::string& path);

  HostSocket(HostSocket&& other) noexcept
      : path_(std::exchange(other.path_, {})),
        listener_(std::move(other.listener_)),
        identity_(other.identity_) {}
  HostSocket& operator=(HostSocket&&) = delete;
  /// Removes the socket, unless another file has taken its place.
  ~HostSocket();

  /// The listening socket; non-blocking.
  [[nodiscard]] int fd() const { return listener_.get(); }
  [[nodiscard]] const std::string& path() const { return path_; }

  /// Connects to PATH_`port`, without waiting; the result is non-blocking.
  /// Errors: ENOENT and ECONNREFUSED when nobody listens; EPROTOTYPE when a socket of the other
  /// type does; EAGAIN when too many wait there already; ENAMETOOLONG; those of socket(2).
  [[nodiscard]] Result<UniqueFd> connect(std::uint32_t port, SocketType type) const;

 private:
  /// Which file it is.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static Identity identify(const std::string& path);
  HostSocket(std::string path, UniqueFd listener)
      : path_(std::move(path)), listener_(std::move(listener)), identity_(identify(path_)) {}

  std::string path_;  // empty: moved from
  UniqueFd listener_;
  Identity identity_;
};

}  // namespace vmm::virtio_vsock
