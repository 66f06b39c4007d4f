// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <utility>

#include "failure.h"
#include "path_or_fd.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::reference {

/// The socket on which the API is served: one that --api-socket names by its path, with a lock
/// beside it so that two VMMs never share it; or one that somebody else listens on already.
class ApiSocket {
 public:
  /// Failures: another VMM has the path; the descriptor is no listening socket.
  static Outcome<ApiSocket> open(const PathOrFd& config);

  [[nodiscard]] const sys_util::UnixListener& listener() const { return listener_; }

 private:
  ApiSocket(UniqueFd lock, sys_util::UnixListener listener)
      : lock_(std::move(lock)), listener_(std::move(listener)) {}

  UniqueFd lock_;  // longer than the socket is there
  sys_util::UnixListener listener_;
};

}  // namespace vmm::reference
