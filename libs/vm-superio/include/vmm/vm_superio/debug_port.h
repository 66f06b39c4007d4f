// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "vmm/base/mutex.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_superio/byte_sink.h"

namespace vmm::vm_superio {

/// The POST code port (0x80): firmware and test kernels write progress codes to it.
///
/// Linux also writes to it for short delays, so expect codes that mean nothing. Reads give 0.
///
/// Threads: any, at once; `on_code` may be called from several at once.
class DebugPort final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 1;  ///< bytes

  /// Called with each code and the time since this object was made, on the vCPU thread.
  using OnCode = std::function<void(std::uint8_t code, std::chrono::nanoseconds elapsed)>;
  /// The time begins now.
  explicit DebugPort(OnCode on_code)
      : on_code_(std::move(on_code)), start_(std::chrono::steady_clock::now()) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  OnCode on_code_;
  std::chrono::steady_clock::time_point start_;
};

/// A port that prints what is written to it (0xe9; firmware logs use 0x402). It reads its own port
/// number's low byte, 0xe9, by which guests detect it.
///
/// Threads: any, at once; the lock is held while the sink is called.
class DebugConsole final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 1;  ///< bytes

  /// Borrows `sink`, which must outlive this object.
  explicit DebugConsole(ByteSink& sink) : out_(sink) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  /// Every byte of `data` is output, so a string instruction's worth may be passed at once.
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// Hands collected output to the sink: lines are written at their end, so a last line without
  /// one waits for this.
  void flush() VMM_EXCLUDES(mutex_);

 private:
  Mutex mutex_;
  OutputBuffer out_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vm_superio
