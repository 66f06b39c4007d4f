// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <cstring>

namespace vmm::vfio_user {

/// A private copy of the structure that an ioctl's argument points to.
template <class T>
T copy_of(std::uintptr_t argument) {
  T value;
  std::memcpy(&value, reinterpret_cast<const void*>(argument), sizeof(T));
  return value;
}

}  // namespace vmm::vfio_user
