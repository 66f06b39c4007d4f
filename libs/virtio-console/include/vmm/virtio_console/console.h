// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/virtio_console/port.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_console {

///@{
/// Feature bits: virtio 1.3, 5.3.3.
inline constexpr std::uint64_t kFeatureSize = 1u << 0;
inline constexpr std::uint64_t kFeatureMultiport = 1u << 1;
inline constexpr std::uint64_t kFeatureEmergencyWrite = 1u << 2;
///@}

/// Columns and rows of the terminal.
struct TerminalSize {
  ///@{
  /// Characters; 0: not known.
  std::uint16_t columns = 0;
  std::uint16_t rows = 0;
  ///@}

  friend bool operator==(const TerminalSize&, const TerminalSize&) = default;
};

class PortInput;

/// The console device with one port: virtio 1.3, 5.3. For more of them see MultiportConsole.
///
/// Output goes from the driver's buffers to the ConsoleOutput; when that is full, the driver waits.
/// Input is kept up to a capacity, in order, until the driver has buffers.
///
/// Threads: as VirtioDevice; space(), enqueue(), resize() from any thread.
class Console final : public virtio_device::VirtioDevice, public ConsoleInput {
 public:
  static constexpr std::uint16_t kQueueSize = 256;    ///< the most entries of each queue
  static constexpr std::size_t kMaxCapacity = 16384;  ///< bytes; the largest Options::capacity

  /// How a console is made.
  struct Options {
    ConsoleOutput* output = nullptr;  ///< required; borrowed
    std::size_t capacity = 4096;      ///< bytes of input that wait for the driver
    TerminalSize size{};              ///< 0: not known, as for a file
  };

  /// Errors: EINVAL without an output or for a capacity outside of [1, kMaxCapacity]; those of
  /// eventfd(2).
  static Result<std::shared_ptr<Console>> create(const Options& options);
  ~Console() override;

  [[nodiscard]] std::size_t space() override;
  void set_on_space(std::function<void()> on_space) override;
  [[nodiscard]] bool enqueue(std::span<const std::byte> bytes) override;
  /// A driver that knows of sizes is told; one that comes later reads it, and is told at its start.
  void resize(const TerminalSize& size);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kConsole;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override {
    return kFeatureSize | kFeatureEmergencyWrite | virtio_queue::kFeatureRingReset;
  }
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{kQueueSize, kQueueSize};

  Console(const Options& options, std::shared_ptr<PortInput> input);

  ConsoleOutput& output_;
  std::shared_ptr<PortInput> input_;
  Mutex mutex_;
  TerminalSize size_ VMM_GUARDED_BY(mutex_);
  // Of a driver that wants to hear of sizes.
  std::shared_ptr<virtio_device::Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_console
