// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Structures as bytes, for protocols whose numbers have the byte order of the machine.

#include <cstddef>
#include <cstring>
#include <optional>
#include <span>
#include <type_traits>

namespace vmm {

/// A structure of the wire: its bytes are its value.
template <class T>
concept Payload = std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>;

/// The bytes of a structure, borrowed from it.
template <Payload T>
[[nodiscard]] std::span<const std::byte> bytes_of(const T& payload) {
  return std::as_bytes(std::span(&payload, 1));
}

/// The structure at the front of `bytes`; nullopt when these are fewer.
template <Payload T>
[[nodiscard]] std::optional<T> front_as(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data(), sizeof(T));
  return value;
}

/// The structure that `bytes` are; nullopt when their number is another.
template <Payload T>
[[nodiscard]] std::optional<T> exactly_as(std::span<const std::byte> bytes) {
  if (bytes.size() != sizeof(T)) return std::nullopt;
  return front_as<T>(bytes);
}

}  // namespace vmm
