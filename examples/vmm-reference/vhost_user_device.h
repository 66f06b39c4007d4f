// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/vhost_user_frontend/remote_device.h"

namespace vmm::reference {

using RemoteDevice = vhost_user_frontend::RemoteDevice;

/// Devices that other processes serve. Whoever is not there yet is waited for, a minute at most.
Outcome<std::shared_ptr<RemoteDevice>> make_remote_disk(const DiskConfig& config);
Outcome<std::shared_ptr<RemoteDevice>> make_remote_net(const NetConfig& config);
/// `window` shows the guest what the back end maps; nullptr without dax.
Outcome<std::shared_ptr<RemoteDevice>> make_remote_fs(
    const FsConfig& config, std::shared_ptr<vhost_user_frontend::WindowSlot> window);
Outcome<std::shared_ptr<RemoteDevice>> make_remote_generic(const GenericVhostUserConfig& config);

}  // namespace vmm::reference
