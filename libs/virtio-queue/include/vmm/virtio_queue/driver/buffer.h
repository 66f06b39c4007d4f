// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/guest_address.h"

namespace vmm::virtio_queue::driver {

/// One part of what a driver offers.
struct Buffer {
  GuestAddress address;
  std::uint32_t length = 0;
  bool device_writable = false;
};

/// What came back.
struct Used {
  std::uint16_t token = 0;  ///< what add() returned
  std::uint32_t written = 0;

  friend bool operator==(const Used&, const Used&) = default;
};

}  // namespace vmm::virtio_queue::driver
