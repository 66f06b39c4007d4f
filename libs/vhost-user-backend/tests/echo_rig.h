// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "backend_rig.h"
#include "vmm/virtio_device/testing/echo_device.h"

namespace vmm::vhost_user_backend {

/// A device that echoes, served by a process, and a guest that talks to it.
struct EchoRig {
  explicit EchoRig(const Setup& setup = {}) : guest(process.connect(), 2, setup) {}

  std::shared_ptr<virtio_device::testing::EchoDevice> device =
      std::make_shared<virtio_device::testing::EchoDevice>();
  Process process{device};
  Guest guest;
};

}  // namespace vmm::vhost_user_backend
