// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What a driver asks a device, and what it is answered.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/virtio_device/testing/guest_heap.h"

namespace vmm::virtio_device::testing {

/// The parts of one request, in this order.
struct Request {
  std::vector<Bytes> readable;          ///< one buffer each
  std::vector<std::uint32_t> writable;  ///< bytes of each part
  bool indirect = false;                ///< behind a table of its own; there is one part at least
};

/// What came back. Writable bytes that the device left alone are DeviceRig::kUntouched.
struct Answer {
  std::uint16_t token = 0;    ///< what send() said
  std::uint32_t written = 0;  ///< bytes, as the device says
  Bytes bytes;                ///< all writable parts, also what lies beyond `written`

  /// Precondition: the object lies inside `bytes`.
  template <class T>
  [[nodiscard]] T at(std::size_t offset) const {
    T value{};
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), sizeof(T),
                std::as_writable_bytes(std::span(&value, 1)).begin());
    return value;
  }
};

}  // namespace vmm::virtio_device::testing
