// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Fakes for tests with one thread.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "vmm/vm_superio/byte_sink.h"
#include "vmm/vm_superio/input_listener.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::vm_superio::testing {

/// Keeps all output, and each write as a string of its own.
class StringSink final : public ByteSink {
 public:
  std::size_t write(std::span<const std::byte> bytes) override {
    const std::size_t taken = bytes.size() < room ? bytes.size() : room;
    room -= taken;
    writes.emplace_back();
    for (const std::byte byte : bytes.first(taken)) {
      writes.back().push_back(static_cast<char>(std::to_integer<std::uint8_t>(byte)));
    }
    text += writes.back();
    return taken;
  }

  /// @{
  std::string text;  ///< all of it, and write by write
  std::vector<std::string> writes;
  /// @}
  std::size_t room = std::numeric_limits<std::size_t>::max();  ///< how much it takes from now on
};

/// A clock that stands still until a test moves it.
class FakeClock final : public WallClock {
 public:
  /// Seconds since 1970.
  explicit FakeClock(std::int64_t seconds) : ns(seconds * 1'000'000'000) {}
  [[nodiscard]] std::int64_t seconds() const override { return ns / 1'000'000'000; }
  [[nodiscard]] std::int64_t nanoseconds() const override { return ns; }

  std::int64_t ns;  ///< since 1970; tests change it
};

/// Counts calls.
class CountingListener final : public InputListener {
 public:
  /// @{
  /// How often it was told.
  void input_space() override { ++count; }
  int count = 0;
  /// @}
};

}  // namespace vmm::vm_superio::testing
