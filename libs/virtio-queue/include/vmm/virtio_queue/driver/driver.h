// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/driver/packed_driver.h"
#include "vmm/virtio_queue/driver/split_driver.h"

namespace vmm::virtio_queue::driver {

/// The driver's side of a virtqueue, split or packed: for tests, fuzzers, and programs that talk
/// to a device themselves. It keeps its own books and does not trust what the device writes.
///
/// Thread-safety: none. The device may run on another thread.
class Driver {
 public:
  /// Clears the rings. `memory` outlives the driver.
  /// Errors: kBadSize; kMisaligned, kRingNotMapped.
  static Result<Driver, QueueError> create(const QueueShape& shape, vm_memory::MemoryView memory) {
    if (shape.packed) {
      VMM_TRY(PackedDriver driver, PackedDriver::create(shape, memory));
      return Driver(std::move(driver));
    }
    VMM_TRY(SplitDriver driver, SplitDriver::create(shape, memory));
    return Driver(std::move(driver));
  }

  /// Lays out a chain, readable buffers first; the device sees it after publish(). The result
  /// names it in Used. Errors: kTooManyPieces when there are not enough free descriptors, or none
  /// are asked for.
  Result<std::uint16_t, QueueError> add(std::span<const Buffer> buffers) {
    return std::visit([&](auto& ring) { return ring.add(buffers); }, ring_);
  }
  /// The same behind one indirect descriptor. The caller owns `table`, of 16 bytes a buffer, until
  /// the chain comes back. Errors: also kBadMemory.
  Result<std::uint16_t, QueueError> add_indirect(std::span<const Buffer> buffers,
                                                 GuestAddress table) {
    return std::visit([&](auto& ring) { return ring.add_indirect(buffers, table); }, ring_);
  }
  /// Makes all that was added available. True: the device wants to be notified.
  [[nodiscard]] bool publish() {
    return std::visit([](auto& ring) { return ring.publish(); }, ring_);
  }
  /// What the device has given back; nullopt: nothing. Errors: kBadHead for what it did not have.
  [[nodiscard]] Result<std::optional<Used>, QueueError> reap() {
    return std::visit([](auto& ring) { return ring.reap(); }, ring_);
  }
  /// Asks the device not to interrupt; a hint only.
  void disable_interrupts() {
    std::visit([](auto& ring) { ring.disable_interrupts(); }, ring_);
  }
  /// True: something came back meanwhile, for which no interrupt may come.
  [[nodiscard]] bool enable_interrupts() {
    return std::visit([](auto& ring) { return ring.enable_interrupts(); }, ring_);
  }
  /// How many buffers add() has room for; one is enough for add_indirect().
  [[nodiscard]] std::uint32_t free_descriptors() const {
    return std::visit([](const auto& ring) { return ring.free_descriptors(); }, ring_);
  }

 private:
  explicit Driver(SplitDriver ring) : ring_(std::move(ring)) {}
  explicit Driver(PackedDriver ring) : ring_(std::move(ring)) {}

  std::variant<SplitDriver, PackedDriver> ring_;
};

}  // namespace vmm::virtio_queue::driver
