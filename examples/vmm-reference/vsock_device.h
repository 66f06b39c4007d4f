// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::reference {

/// The socket device that --vsock asks for: its Unix socket is there until the device is gone, or
/// the guest has its address among the host's AF_VSOCK.
Outcome<std::shared_ptr<virtio_device::VirtioDevice>> make_vsock(const VsockConfig& config);

}  // namespace vmm::reference
