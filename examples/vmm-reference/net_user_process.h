// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/base/unique_fd.h"

namespace vmm::reference {

/// A vmm-net-user, which serves a user-mode network in a process of its own: what the guest sends
/// is taken apart where nothing of the VM can be reached. It ends with this object, and, should the
/// VMM die, with its socket.
class NetUserProcess {
 public:
  /// Starts the program that lies beside this one's, else the one in PATH, and waits until it is
  /// ready. `socket` becomes the VMM's end: one Ethernet frame a message.
  static Outcome<std::unique_ptr<NetUserProcess>> start(const NetConfig& config, UniqueFd& socket);
  NetUserProcess(const NetUserProcess&) = delete;
  NetUserProcess& operator=(const NetUserProcess&) = delete;
  ~NetUserProcess();

 private:
  explicit NetUserProcess(pid_t pid) : pid_(pid) {}

  pid_t pid_;
};

}  // namespace vmm::reference
