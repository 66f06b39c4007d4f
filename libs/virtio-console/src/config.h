// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_console {

/// The configuration space: 5.3.4.
struct Config {
  Le16 columns;
  Le16 rows;
  Le32 max_ports;
  Le32 emergency_write;
};
static_assert(sizeof(Config) == 12);

inline constexpr std::uint64_t kEmergencyOffset = 8;

}  // namespace vmm::virtio_console
