// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

namespace vmm::pci {

/// Who writes the messages of a function, for MsiMessage::device_id: where the interrupt controller
/// tells writers apart (GICv3 ITS), its requester id, and nothing elsewhere.
///
/// Behind a bridge the requester id has the number that the guest gives to the bus: each message
/// takes it as it is when the message is routed.
///
/// Threads: any; copies are independent.
class MsiDeviceId {
 public:
  /// The secondary bus number of a bridge, as the guest sets it.
  using BusNumber = std::atomic<std::uint8_t>;

  MsiDeviceId() = default;
  /// @{
  /// A function on bus 0, whose id does not change; nullopt: messages name nobody.
  MsiDeviceId(std::uint32_t id) : id_(id) {}
  MsiDeviceId(std::optional<std::uint32_t> id) : id_(id) {}
  /// @}
  /// Of a function on the bus whose number `bus` holds; `id` is that of the function on bus 0.
  MsiDeviceId(std::uint32_t id, std::shared_ptr<const BusNumber> bus)
      : id_(id), bus_(std::move(bus)) {}

  /// The id with the bus number of this moment.
  [[nodiscard]] std::optional<std::uint32_t> now() const {
    if (!id_ || bus_ == nullptr) return id_;
    return *id_ + (std::uint32_t{bus_->load(std::memory_order_relaxed)} << 8);
  }

 private:
  std::optional<std::uint32_t> id_;
  std::shared_ptr<const BusNumber> bus_;
};

}  // namespace vmm::pci
