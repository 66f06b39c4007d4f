// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace vmm::vm_superio {

/// Where a device's output goes.
///
/// Threads: called with the device's lock held, from vCPU threads; so it must not block for long
/// and must not call the device.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  ByteSink(const ByteSink&) = delete;
  ByteSink& operator=(const ByteSink&) = delete;

  /// Takes `bytes`, or as many of them as fit now, and returns how many. The device counts the
  /// rest as lost and goes on: a guest never waits for its console's reader.
  virtual std::size_t write(std::span<const std::byte> bytes) = 0;

 protected:
  ByteSink() = default;
};

/// Discards everything.
class NullSink final : public ByteSink {
 public:
  std::size_t write(std::span<const std::byte> bytes) override { return bytes.size(); }
};

/// Collects single bytes and hands them to a sink a line at a time, so that a line costs one
/// system call and not one for each byte.
///
/// It writes at a newline, when it is full and on flush(); the device calls flush() wherever it
/// can tell that the guest has finished a burst. Not thread-safe.
class OutputBuffer {
 public:
  static constexpr std::size_t kSize = 256;  ///< bytes

  /// Borrows `sink`, which must outlive this object.
  explicit OutputBuffer(ByteSink& sink) : sink_(sink) {}

  /// Collects a byte.
  void put(std::uint8_t byte) {
    bytes_[size_++] = std::byte{byte};
    if (byte == '\n' || size_ == kSize) [[unlikely]]
      flush();
  }
  /// Hands what was collected to the sink, which may take less; the rest is lost.
  void flush();

  /// Nothing waits for a flush.
  [[nodiscard]] bool empty() const { return size_ == 0; }
  /// How many bytes the sink did not take.
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  ByteSink& sink_;
  std::size_t size_ = 0;
  std::uint64_t lost_ = 0;
  std::array<std::byte, kSize> bytes_;
};

}  // namespace vmm::vm_superio
