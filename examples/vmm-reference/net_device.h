// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "net_user_process.h"
#include "vmm/virtio_net/net.h"

namespace vmm::reference {

/// What a --net is made of.
struct NetDevice {
  std::shared_ptr<virtio_net::Net> device;
  std::unique_ptr<net_user::NetUserProcess> process;  ///< of user-mode networks
};

/// Opens the taps of a --net, or starts its user-mode network, and makes its device.
/// Precondition: it has a MAC address.
Outcome<NetDevice> make_net(const NetConfig& config);

}  // namespace vmm::reference
