// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <utility>

#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_vsock/host_socket.h"
#include "vmm/virtio_vsock/vsock.h"

namespace vmm::virtio_vsock {

/// What the device and its worker share. Threads: constant, and eventfds.
struct Vsock::Core {
  std::uint64_t cid;
  Limits limits;
  HostSocket host;
  sys_util::EventFd transport_reset;  ///< added to: tell the driver that all connections are gone
};

}  // namespace vmm::virtio_vsock
