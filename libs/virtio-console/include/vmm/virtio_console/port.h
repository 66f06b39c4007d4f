// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <span>

namespace vmm::virtio_console {

/// Where a port's output goes. Outlives the device.
///
/// Threads: called by the device's worker; write() of an emergency by a vCPU thread.
class ConsoleOutput {
 public:
  virtual ~ConsoleOutput() = default;
  ConsoleOutput(const ConsoleOutput&) = delete;
  ConsoleOutput& operator=(const ConsoleOutput&) = delete;

  /// Takes as many bytes as there is room for, without waiting, and returns how many.
  virtual std::size_t write(std::span<const std::byte> bytes) = 0;
  /// What gets writable when there is room again; -1 when there always is.
  [[nodiscard]] virtual int room_fd() const = 0;

 protected:
  ConsoleOutput() = default;
};

/// Where a port's input is put: what waits for the driver.
///
/// Threads: any.
class ConsoleInput {
 public:
  virtual ~ConsoleInput() = default;
  ConsoleInput(const ConsoleInput&) = delete;
  ConsoleInput& operator=(const ConsoleInput&) = delete;

  /// How many bytes enqueue() takes now. After an answer of 0, `on_space` is called once there is
  /// room again, by the worker: it must not block.
  [[nodiscard]] virtual std::size_t space() = 0;
  /// Sets what space() speaks of; empty: nothing is called, but that a call of the one before may
  /// still be under way.
  virtual void set_on_space(std::function<void()> on_space) = 0;
  /// Input for the driver: all of it or, when it does not fit, nothing. True: taken.
  [[nodiscard]] virtual bool enqueue(std::span<const std::byte> bytes) = 0;

 protected:
  ConsoleInput() = default;
};

}  // namespace vmm::virtio_console
