// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/debug_port.h"

#include <algorithm>

namespace vmm::vm_superio {

void DebugPort::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
}

void DebugPort::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset != 0 || data.empty() || !on_code_) return;
  on_code_(std::to_integer<std::uint8_t>(data[0]), std::chrono::steady_clock::now() - start_);
}

void DebugConsole::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0xe9});
}

void DebugConsole::write(std::uint64_t /*offset*/, std::span<const std::byte> data) {
  const MutexLock lock(mutex_);
  for (const std::byte byte : data) out_.put(std::to_integer<std::uint8_t>(byte));
}

void DebugConsole::flush() {
  const MutexLock lock(mutex_);
  out_.flush();
}

}  // namespace vmm::vm_superio
