// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

/// A fuzzer's input, consumed from the front; zeros when it has run out.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }

  template <class T>
  T take() {
    T value{};
    const std::size_t n = std::min(sizeof(T), rest_.size());
    if (n != 0) std::memcpy(&value, rest_.data(), n);
    rest_ = rest_.subspan(n);
    return value;
  }
  std::uint8_t byte() { return take<std::uint8_t>(); }

  std::vector<std::byte> bytes(std::size_t count) {
    std::vector<std::byte> out(count, std::byte{0});
    const std::size_t n = std::min(count, rest_.size());
    if (n != 0) std::memcpy(out.data(), rest_.data(), n);
    rest_ = rest_.subspan(n);
    return out;
  }
  /// The next `count` bytes, or as many as there are, borrowed from the input.
  std::string_view text(std::size_t count) {
    const auto front = rest_.first(std::min(count, rest_.size()));
    rest_ = rest_.subspan(front.size());
    return {reinterpret_cast<const char*>(front.data()), front.size()};
  }

 private:
  std::span<const std::uint8_t> rest_;
};

inline void require(bool condition) {
  if (!condition) std::abort();
}
