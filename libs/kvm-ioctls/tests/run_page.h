// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A vCPU's run page made by hand, as KVM would fill it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "src/decode.h"

namespace vmm::kvm_ioctls::testing {

/// Offsets of struct kvm_run on x86_64, aarch64 and riscv64.
inline constexpr std::size_t kReasonAt = 8;
inline constexpr std::size_t kCr8At = 16;
inline constexpr std::size_t kDataAt = 32;

struct RunPage {
  explicit RunPage(std::uint32_t reason) { put(kReasonAt, reason); }

  template <class T>
  RunPage& put(std::size_t at, T value) {
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return *this;
  }
  /// At byte `at` of the exit's data.
  template <class T>
  RunPage& data(std::size_t at, T value) {
    return put(kDataAt + at, value);
  }
  template <class T>
  [[nodiscard]] T get(std::size_t at) const {
    T value;
    std::memcpy(&value, bytes.data() + kDataAt + at, sizeof(value));
    return value;
  }
  [[nodiscard]] Result<VcpuExit> decode() { return decode_exit(bytes); }

  alignas(4096) std::array<std::byte, 12288> bytes{};
};

}  // namespace vmm::kvm_ioctls::testing
