// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/pci/config_space.h"
#include "vmm/virtio_device/device_type.h"

namespace vmm::virtio_pci::detail {

/// The header of a device's function: virtio 1.3, 4.1.2.
[[nodiscard]] pci::Header header_of(virtio_device::DeviceType type);

}  // namespace vmm::virtio_pci::detail
