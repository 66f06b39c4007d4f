// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "daemon_options.h"
#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/vhost_user_backend/device_extension.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_user_daemon {

using daemon::Option;
using daemon::parse_number;

/// A program that serves one device, by QEMU's conventions for back-end programs: --socket-path,
/// --fd, --print-capabilities, SIGTERM.
struct Program {
  const char* name;
  const char* type;                   ///< as in QEMU's vhost-user.json
  std::vector<const char*> features;  ///< the same
  std::vector<Option> options;
  /// Makes the device, when all options were set. `loop` is the control loop's.
  std::function<Result<std::shared_ptr<virtio_device::VirtioDevice>>(
      event_manager::EventLoop& loop)>
      make_device;
  /// What the device does besides virtio; make_device may set it.
  std::shared_ptr<vhost_user_backend::DeviceExtension> extension = nullptr;
  std::size_t threads = 1;  ///< that serve the device's queues; make_device may change it
};

/// Does what the command line says. The program's exit status: 0, 1 for a failure, 2 for a mistake
/// in the command line.
int run(Program& program, int argc, char** argv);

}  // namespace vmm::vhost_user_daemon
