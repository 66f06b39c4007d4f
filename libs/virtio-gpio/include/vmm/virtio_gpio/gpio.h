// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_gpio/chip.h"

namespace vmm::virtio_gpio {

struct LineState;

/// VIRTIO_GPIO_F_IRQ: 5.18.3.
inline constexpr std::uint64_t kFeatureIrq = virtio_device::feature(0);

/// The GPIO device: virtio 1.3, 5.18. Its lines are those of a chip, by the same numbers.
///
/// The driver takes a line by giving it a direction, by reading its value or by enabling its
/// interrupt, which makes it an input. All that it has taken is let go when it is gone: with the
/// reset of the device, outputs end.
///
/// Interrupts: 5.18.6.6 and 5.18.7. An edge is latched while the line is masked, once; a level is
/// looked at when the line is unmasked and when it changes. A buffer of the event queue comes back
/// with the status INVALID when its line's interrupt is disabled, or is not enabled, when the line
/// has a buffer already, and when there is no such line.
///
/// Its state is what the driver made of each line, and which edges are latched: a device elsewhere
/// goes on with the same outputs and interrupts. While no worker is there the lines are nobody's.
/// Where a device is stopped to go on later, buffers of unmasked lines come back as interrupts.
///
/// What 5.18 does not allow a driver gets the status ERR: interrupts of an output, another type for
/// an interrupt that is enabled, making such a line an output, unknown numbers of any kind.
///
/// Threads: as VirtioDevice.
class Gpio final : public virtio_device::VirtioDevice, private virtio_device::StateOwner {
 public:
  /// The most entries of the request queue.
  static constexpr std::uint16_t kRequestQueueSize = 256;
  /// The most entries of the event queue: one for each line.
  static constexpr std::uint16_t kEventQueueSize = 1024;
  static constexpr std::uint16_t kMaxLines = 1024;  ///< of a chip

  /// The chip is used by the device's worker alone, from activation to reset.
  /// Errors: EINVAL without a chip, for one without lines, and for more than kMaxLines.
  static Result<std::shared_ptr<Gpio>> create(std::shared_ptr<Chip> chip);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kGpio;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override { return kFeatureIrq; }
  [[nodiscard]] std::size_t config_bytes() const override { return 8; }
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;
  [[nodiscard]] virtio_device::StateOwner* state_owner() override { return this; }

 private:
  static constexpr std::array<std::uint16_t, 2> kQueueSizes{kRequestQueueSize, kEventQueueSize};

  explicit Gpio(std::shared_ptr<Chip> chip);
  [[nodiscard]] std::vector<std::byte> save_state() override;
  /// Errors: EINVAL.
  Result<void> load_state(std::span<const std::byte> state) override;

  std::shared_ptr<Chip> chip_;
  std::shared_ptr<const std::vector<std::byte>> names_;
  std::shared_ptr<std::vector<LineState>> lines_;  // the worker's, while there is one
};

}  // namespace vmm::virtio_gpio
