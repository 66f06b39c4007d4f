// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <vector>

#include "vmm/virtio_gpio/chip.h"

namespace vmm::virtio_gpio {

/// The memory block of names: virtio 1.3, 5.18.6.1: each line's, with a zero at its end; empty when
/// no line has one. The format wants names to be unique and of ASCII: others are left out.
std::vector<std::byte> line_names(const Chip& chip);

}  // namespace vmm::virtio_gpio
