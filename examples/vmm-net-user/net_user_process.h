// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::net_user {

struct NetUserOptions {
  std::optional<std::uint16_t> mtu = {};        ///< nullopt: 1500
  std::vector<std::string> host_forwards = {};  ///< as parse_host_forward() reads them
  std::string seccomp = "true";                 ///< what its --seccomp says
};

/// A vmm-net-user, which serves a user-mode network in a process of its own: what the guest sends
/// is taken apart where nothing of the VM can be reached. It ends with this object, and, should
/// this process die, with its socket.
class NetUserProcess {
 public:
  /// Starts the program that lies beside this one's, else the one in PATH, and waits until it is
  /// ready. `socket` becomes our end: one Ethernet frame a message, behind a virtio header.
  /// Errors: ENOENT when there is no such program; ECHILD when it ended before it was ready, and
  /// has said why; those of socketpair(2) and launch().
  static Result<std::unique_ptr<NetUserProcess>> start(const NetUserOptions& options,
                                                       UniqueFd& socket);
  NetUserProcess(const NetUserProcess&) = delete;
  NetUserProcess& operator=(const NetUserProcess&) = delete;
  ~NetUserProcess();

 private:
  explicit NetUserProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

}  // namespace vmm::net_user
