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
#include "vmm/virtio_i2c/adapter.h"

namespace vmm::virtio_i2c {

/// VIRTIO_I2C_F_ZERO_LENGTH_REQUEST: 5.16.3.
inline constexpr std::uint64_t kFeatureZeroLengthRequest = virtio_device::feature(0);

/// The I2C adapter device: virtio 1.3, 5.16. Its driver sees one bus, on which are the devices that
/// the list allows, and no others.
///
/// Requests are executed in order. Those of a group (FAIL_NEXT) that are there together become one
/// transaction, as long as the same adapter has their addresses; when one fails, the rest of its
/// group fails unexecuted. As an adapter says only that a transaction failed, all requests of it
/// have the status ERR. ERR is also for what the format does not allow, for addresses that are not
/// in the list, and for more than Adapter::kMaxMessageBytes bytes.
///
/// A transfer blocks the worker's loop until the bus is done.
///
/// Threads: as VirtioDevice.
class I2c final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 256;  ///< the most entries of the queue

  /// An adapter, and those devices on its bus that the driver may use.
  struct Bus {
    std::shared_ptr<Adapter> adapter;  ///< not nullptr; several buses may share one
    std::vector<Address> addresses;    ///< each at most once in the whole device
  };

  /// Errors: EINVAL without an address, without an adapter, for an address that is not valid, and
  /// for one that is there twice.
  static Result<std::shared_ptr<I2c>> create(std::vector<Bus> buses);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kI2c;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  /// Not without VIRTIO_I2C_F_ZERO_LENGTH_REQUEST: 5.16.6.4.
  [[nodiscard]] bool accepts(std::uint64_t features) const override;
  /// Errors besides: EPROTO for features that it does not accept, where nobody asked.
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override {}

 private:
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};

  explicit I2c(std::vector<Bus> buses) : buses_(std::make_shared<const Buses>(std::move(buses))) {}

  using Buses = std::vector<Bus>;
  std::shared_ptr<const Buses> buses_;
};

}  // namespace vmm::virtio_i2c
