// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/mutex.h"

namespace vmm::vm_superio {

/// Serves a bus read of any size from 32-bit registers: calls `read_register(offset)` once for
/// each register touched, with the register's own offset.
template <class ReadRegister>
VMM_THREAD_ATTRIBUTE(no_thread_safety_analysis)  // the callback's locks are its caller's matter
void read_registers32(std::uint64_t offset, std::span<std::byte> data,
                      ReadRegister&& read_register) {
  while (!data.empty()) {
    const std::size_t skip = offset % 4;
    const std::size_t count = std::min<std::size_t>(4 - skip, data.size());
    const std::uint32_t value = read_register(offset - skip);
    for (std::size_t i = 0; i < count; ++i) {
      data[i] = static_cast<std::byte>(value >> (8 * (skip + i)) & 0xff);
    }
    data = data.subspan(count);
    offset += count;
  }
}

/// Serves a bus write of any size: calls `write_register(offset, value)` once for each register
/// whose first byte is written, the bytes above those written being 0; other bytes are ignored.
template <class WriteRegister>
VMM_THREAD_ATTRIBUTE(no_thread_safety_analysis)
void write_registers32(std::uint64_t offset, std::span<const std::byte> data,
                       WriteRegister&& write_register) {
  while (!data.empty()) {
    const std::size_t skip = offset % 4;
    const std::size_t count = std::min<std::size_t>(4 - skip, data.size());
    if (skip == 0) {
      std::uint32_t value = 0;
      for (std::size_t i = 0; i < count; ++i) {
        value |= std::to_integer<std::uint32_t>(data[i]) << (8 * i);
      }
      write_register(offset, value);
    }
    data = data.subspan(count);
    offset += count;
  }
}

}  // namespace vmm::vm_superio
