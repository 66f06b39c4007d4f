// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// SOCK_STREAM or SOCK_SEQPACKET.
enum class UnixSocketType : std::uint8_t { kStream, kSeqpacket };

/// A Unix socket that listens at a path.
class UnixListener {
 public:
  /// Listens at `path`, with the access rights that umask(2) leaves. A socket that no process
  /// has any more, as it died, is replaced; one that listens does not hear of the attempt.
  /// Errors: EADDRINUSE when somebody listens there or it is no socket; ENAMETOOLONG above 107
  /// bytes; EINVAL for an empty path; those of bind(2) and listen(2).
  static Result<UnixListener> create(const std::string& path);
  /// Takes a socket that listens already, which has no path to remove. It becomes non-blocking.
  /// Errors: EINVAL when it does not listen; those of getsockopt(2) and fcntl(2).
  static Result<UnixListener> adopt(UniqueFd fd);
  /// The other one keeps no path to remove.
  UnixListener(UnixListener&& other) noexcept
      : path_(std::exchange(other.path_, {})),
        fd_(std::move(other.fd_)),
        identity_(other.identity_) {}
  UnixListener& operator=(UnixListener&&) = delete;
  /// Removes the socket, unless another file has taken its place.
  ~UnixListener();

  /// The next connection, close-on-exec; nullopt when nobody waits, or does not any more.
  /// Errors: those of accept(2).
  [[nodiscard]] Result<std::optional<UniqueFd>> accept() const;

  /// Non-blocking; readable when somebody waits.
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Where it was created; empty when adopted or moved from.
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  /// Which file it is.
  struct Identity {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    friend bool operator==(const Identity&, const Identity&) = default;
  };
  static Identity identify(const std::string& path);
  UnixListener(std::string path, UniqueFd fd)
      : path_(std::move(path)), fd_(std::move(fd)), identity_(identify(path_)) {}

  std::string path_;  // empty: moved from
  UniqueFd fd_;
  Identity identity_;
};

/// Connects to the socket at `path`, without waiting; the result is non-blocking and close-on-exec.
/// Errors: ENOENT and ECONNREFUSED when nobody listens; EPROTOTYPE when a socket of the other type
/// does; EAGAIN when too many wait there already; ENAMETOOLONG and EINVAL for such paths; those of
/// socket(2).
Result<UniqueFd> connect_unix(const std::string& path,
                              UnixSocketType type = UnixSocketType::kStream);

/// Two sockets that are connected to each other, blocking and close-on-exec.
/// Errors: those of socketpair(2).
Result<std::pair<UniqueFd, UniqueFd>> unix_socket_pair(
    UnixSocketType type = UnixSocketType::kStream);

}  // namespace vmm::sys_util
