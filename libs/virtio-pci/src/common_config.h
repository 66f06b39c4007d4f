// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/virtio_device/transport_core.h"
#include "vmm/virtio_pci/layout.h"

namespace vmm::virtio_pci::detail {

/// The registers of the common configuration, on top of the core.
///
/// Threads: the transport's lock; the vectors may be asked for at any time.
class CommonConfig {
 public:
  /// `vectors`: how many MSI-X vectors there are. `core` outlives this object.
  CommonConfig(virtio_device::TransportCore& core, std::uint16_t vectors);

  /// `data` holds zeros and stays so where there is no such register.
  void read(std::uint64_t offset, std::span<std::byte> data);
  void write(std::uint64_t offset, std::span<const std::byte> data);
  /// As after a reset of the device: selectors 0, no vectors.
  void reset();

  /// kNoVector when there is none.
  [[nodiscard]] std::uint16_t queue_vector(std::uint16_t queue) const {
    return queue_vectors_[queue].load(std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint16_t config_vector() const {
    return config_vector_.load(std::memory_order_relaxed);
  }

 private:
  using Vector = std::atomic<std::uint16_t>;

  [[nodiscard]] std::uint32_t get(Common reg);
  [[nodiscard]] std::uint32_t get_queue(Common reg) const;
  void set(Common reg, std::uint32_t value);
  void set_queue(Common reg, std::uint32_t value);
  void set_vector(Vector& vector, std::uint32_t value) const;

  virtio_device::TransportCore& core_;
  const std::uint16_t vectors_;
  std::uint32_t device_feature_select_ = 0;
  std::uint32_t driver_feature_select_ = 0;
  std::uint16_t queue_select_ = 0;
  Vector config_vector_{kNoVector};
  std::vector<Vector> queue_vectors_;
};

}  // namespace vmm::virtio_pci::detail
