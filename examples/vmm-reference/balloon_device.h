// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/virtio_balloon/balloon.h"

namespace vmm::reference {

/// The balloon that --balloon asks for. With it, guest memory must not be pinned.
Outcome<std::shared_ptr<virtio_balloon::Balloon>> make_balloon(const BalloonConfig& config);

}  // namespace vmm::reference
