// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/queue.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_queue {

/// What a saved QueueConfig consists of.
struct QueueConfigState {
  std::uint16_t max_size = 0;  ///< descriptors; a power of two up to 32768
  std::uint16_t size = 0;      ///< descriptors; as set_size() allows
  bool ready = false;          ///< whether the driver has enabled the queue
  RingAddresses rings;         ///< guest-physical addresses, or I/O addresses with an IOMMU
  std::uint64_t features = 0;  ///< bits of section 6, of which a queue looks at a few

  friend bool operator==(const QueueConfigState&, const QueueConfigState&) = default;
};

/// What the driver sets up through the transport's registers before a queue runs. A running Queue
/// is made from it and has none of these setters, so that nothing can change under it. For
/// VIRTIO_F_RING_RESET: destroy the Queue, then reset().
///
/// Thread-safety: none; the transport's lock guards it.
class QueueConfig {
 public:
  /// Errors: kBadSize unless `max_size` is a power of two in [1, 32768].
  static Result<QueueConfig, QueueError> create(std::uint16_t max_size);
  /// Errors: kBadState when a queue that works cannot be in this state: a size or an address that
  /// the negotiated format does not allow, or for a queue that is not ready no format.
  static Result<QueueConfig, QueueError> restore(const QueueConfigState& state);

  /// Back to not ready, no addresses, the maximum size; features stay.
  void reset();

  /// All setters keep the old value when they answer with an error.
  /// Errors: kBadSize unless in [1, max_size] and, for a split ring, a power of two.
  Result<void, QueueError> set_size(std::uint32_t size);
  /// Errors: kMisaligned.
  Result<void, QueueError> set_descriptors(GuestAddress address);
  /// Errors: kMisaligned, by the rule of the ring kind that is set.
  Result<void, QueueError> set_driver(GuestAddress address);
  /// Errors: kMisaligned.
  Result<void, QueueError> set_device(GuestAddress address);
  /// The features that both sides agreed on; the ones of other libraries do no harm.
  void set_features(std::uint64_t features) { state_.features = features; }
  /// Notes that the driver has enabled the queue, or not; nothing is checked before activate().
  void set_ready(bool ready) { state_.ready = ready; }

  /// For registers, where a bad value is passed over: one half of an address, or its error.
  enum class Half : std::uint8_t { kLow, kHigh };
  ///@{
  /// Changes one half of the address and keeps the other.
  Result<void, QueueError> set_descriptors(Half half, std::uint32_t value) {
    return set_descriptors(with_half(state_.rings.descriptors, half, value));
  }
  Result<void, QueueError> set_driver(Half half, std::uint32_t value) {
    return set_driver(with_half(state_.rings.driver, half, value));
  }
  Result<void, QueueError> set_device(Half half, std::uint32_t value) {
    return set_device(with_half(state_.rings.device, half, value));
  }
  ///@}

  ///@{
  /// As set last; see QueueConfigState.
  [[nodiscard]] std::uint16_t max_size() const { return state_.max_size; }
  [[nodiscard]] std::uint16_t size() const { return state_.size; }
  [[nodiscard]] bool ready() const { return state_.ready; }
  [[nodiscard]] const RingAddresses& rings() const { return state_.rings; }
  [[nodiscard]] std::uint64_t features() const { return state_.features; }
  ///@}
  /// Whether VIRTIO_F_RING_PACKED was agreed on.
  [[nodiscard]] bool packed() const { return (state_.features & kFeaturePacked) != 0; }
  /// All of it, for restore().
  [[nodiscard]] const QueueConfigState& state() const { return state_; }

  /// Whether activate() would work now.
  /// Errors: kNotReady, kBadSize, kMisaligned, kRingNotMapped.
  [[nodiscard]] Result<void, QueueError> validate(vm_memory::MemoryView memory) const;
  /// A queue that runs on these rings, from their start or from where it was saved.
  /// Errors: as validate(); kNoMemory; kBadState for a position that no such queue has.
  [[nodiscard]] Result<Queue, QueueError> activate(const vm_memory::GuestMemory& memory) const;
  /// The same from `position` on, as Queue::position() gave it.
  [[nodiscard]] Result<Queue, QueueError> activate(const vm_memory::GuestMemory& memory,
                                                   const QueuePosition& position) const;

 private:
  QueueConfig() = default;
  [[nodiscard]] static GuestAddress with_half(GuestAddress old, Half half, std::uint32_t value);
  [[nodiscard]] QueueShape shape() const;
  [[nodiscard]] Result<void, QueueError> check_size() const;

  QueueConfigState state_;
};

}  // namespace vmm::virtio_queue
