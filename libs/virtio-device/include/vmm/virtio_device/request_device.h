// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_device {

/// A device whose requests are answered at once, which is all that many devices are. One worker
/// serves all of its queues, a queue may be reset alone, and there is no configuration space unless
/// a derived class has one.
///
///   class Zeros final : public RequestDevice {
///    public:
///     Zeros() : RequestDevice({.type = DeviceType::kEntropy, .queue_sizes = {64}}) {}
///
///    protected:
///     std::uint32_t answer(std::uint16_t, virtio_queue::Chain& request) override {
///       const std::array<std::byte, 16> zeros{};
///       return static_cast<std::uint32_t>(request.writer().write(zeros));
///     }
///   };
///
/// Threads: as VirtioDevice; answer() is called by the worker, which ends before this object does.
class RequestDevice : public VirtioDevice {
 public:
  /// What a derived class says of itself; constant.
  struct Shape {
    DeviceType type{};                       ///< as VirtioDevice::type()
    std::vector<std::uint16_t> queue_sizes;  ///< as VirtioDevice::queue_sizes()
    std::uint64_t features = 0;              ///< of the device's type
  };
  /// That of the shape.
  [[nodiscard]] DeviceType type() const final { return shape_.type; }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const final {
    return shape_.queue_sizes;
  }
  /// Those of the shape, IN_ORDER and RING_RESET.
  [[nodiscard]] std::uint64_t features() const final;
  [[nodiscard]] std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<WorkerList> activate(Activation activation) final;
  void reset() override {}

 protected:
  /// For derived classes. The sizes are as VirtioDevice::queue_sizes() wants them.
  explicit RequestDevice(Shape shape) : shape_(std::move(shape)) {}

  /// Does what a request of a queue says; how many bytes of it were written. What the request holds
  /// is the driver's, and may change between two reads: look at it once.
  virtual std::uint32_t answer(std::uint16_t queue, virtio_queue::Chain& request) = 0;

 private:
  class RequestWorker;

  const Shape shape_;
};

}  // namespace vmm::virtio_device
