// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/guest_address.h"

namespace vmm::virtio_queue::driver {

/// One part of what a driver offers.
struct Buffer {
  GuestAddress address;          ///< the first byte, as the device sees addresses
  std::uint32_t length = 0;      ///< bytes
  bool device_writable = false;  ///< VIRTQ_DESC_F_WRITE: the device writes it, and does not read it
};

/// What came back.
struct Used {
  std::uint16_t token = 0;    ///< what add() returned
  std::uint32_t written = 0;  ///< bytes, as the device says; not checked

  friend bool operator==(const Used&, const Used&) = default;
};

}  // namespace vmm::virtio_queue::driver
