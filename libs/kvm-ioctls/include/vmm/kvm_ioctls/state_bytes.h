// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// KVM's state structures as opaque bytes, for snapshots. The kernel's structures grow at their
// ends, and zeros there mean "as before": so a state of an older program is padded with zeros, and
// of one of a newer program the part that is known here is taken.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <span>
#include <type_traits>

#include "vmm/kvm_ioctls/vm_state.h"

namespace vmm::kvm_ioctls {

/// A structure of the kernel's, without padding of the compiler's, which would carry host memory
/// along. Lists are saved entry by entry: what is behind their ends is not state.
template <class T>
concept PlainState =
    std::is_trivially_copyable_v<T> && std::is_aggregate_v<T> && !std::is_array_v<T> &&
    (std::has_unique_object_representations_v<T> || std::is_same_v<T, IrqChip>);

/// The state as it is in memory.
template <PlainState T>
[[nodiscard]] std::array<std::byte, sizeof(T)> to_bytes(const T& state) {
  std::array<std::byte, sizeof(T)> bytes;
  std::memcpy(bytes.data(), &state, sizeof(T));
  return bytes;
}

/// The state in `bytes`: zeros for what is missing, and what is too much is left out. Any bytes are
/// a state; what it means, the kernel checks.
template <PlainState T>
[[nodiscard]] T from_bytes(std::span<const std::byte> bytes) {
  T state{};
  std::copy_n(bytes.begin(), std::min(bytes.size(), sizeof(T)),
              std::as_writable_bytes(std::span(&state, 1)).begin());
  return state;
}

}  // namespace vmm::kvm_ioctls
