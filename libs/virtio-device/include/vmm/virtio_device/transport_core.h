// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_device {

///@{
/// The device status field: virtio 1.3, 2.1.
inline constexpr std::uint8_t kAcknowledge = 1;
inline constexpr std::uint8_t kDriver = 2;
inline constexpr std::uint8_t kDriverOk = 4;
inline constexpr std::uint8_t kFeaturesOk = 8;
inline constexpr std::uint8_t kNeedsReset = 64;
inline constexpr std::uint8_t kFailed = 128;
///@}

/// Takes the device's interrupts to the guest; a transport implements it.
///
/// Threads: any, several at once; a lock of the core may be held. Implementations must not call
/// the core or the device.
class InterruptSink {
 public:
  /// A used buffer notification: 2.3. `queue` is one of the device's.
  virtual void queue_interrupt(std::uint16_t queue) = 0;
  /// A configuration change notification: 2.3. Also for DEVICE_NEEDS_RESET.
  virtual void config_interrupt() = 0;
  /// As Interrupt::used_buffers_fd(); see TransportCore::interrupts_moved().
  [[nodiscard]] virtual int queue_interrupt_fd(std::uint16_t queue) = 0;

 protected:
  ~InterruptSink() = default;
};

namespace detail {
class DriverLink;
}

/// What all transports have in common: the status machine, feature negotiation, queue set-up and
/// the configuration space. A transport decodes its registers into these calls.
///
/// What the driver may not write at a moment is passed over: feature words except between DRIVER
/// and FEATURES_OK; queues except between FEATURES_OK and DRIVER_OK, and after a queue was reset
/// (VIRTIO_F_RING_RESET) or disabled. So nothing that a running queue was made from can
/// change: 2.1, 3.1.
///
/// Threads: one caller at a time: the transport's lock. Its locks are taken inside that one; the
/// device's workers run meanwhile.
class TransportCore {
 public:
  /// The features of queues that a transport offers for each device unless told otherwise.
  static constexpr std::uint64_t kQueueFeatures = virtio_queue::kFeatureIndirect |
                                                  virtio_queue::kFeatureEventIdx |
                                                  virtio_queue::kFeaturePacked;

  /// What a core is made of. `workers` and what the other references name outlive it.
  struct Parts {
    std::shared_ptr<VirtioDevice> device;  ///< not nullptr; shared, as others may control it
    const vm_memory::GuestMemory& memory;  ///< outlives the core
    Workers& workers;                      ///< for this device alone; outlives the core
    InterruptSink& sink;                   ///< outlives the core
    /// Offered, where VirtioDevice::queue_features() has them too.
    std::uint64_t queue_features = kQueueFeatures;
    /// The device is behind an IOMMU: ACCESS_PLATFORM is offered, and FEATURES_OK refused without
    /// it. Those who serve the queues follow changes of `memory`.
    bool behind_iommu = false;
    /// DRIVER without ACKNOWLEDGE counts as both: U-Boot acknowledges a device, resets it, and goes
    /// on with DRIVER alone.
    bool lone_driver = false;
  };

  /// Errors: kBadSize for the queue sizes of the device; EINVAL for its configuration space; those
  /// of eventfd(2).
  static Result<std::unique_ptr<TransportCore>> create(Parts parts);
  TransportCore(const TransportCore&) = delete;
  TransportCore& operator=(const TransportCore&) = delete;
  /// Resets the device.
  ~TransportCore();

  /// The device that create() was given.
  [[nodiscard]] VirtioDevice& device() const { return *parts_.device; }

  /// Features in words of 32 bits; 0 for words beyond the second.
  [[nodiscard]] std::uint32_t device_features(std::uint32_t word) const;
  /// What the driver has written so far, negotiated or not.
  [[nodiscard]] std::uint32_t driver_features(std::uint32_t word) const;
  /// Between DRIVER and FEATURES_OK only; words beyond the second are passed over.
  void set_driver_features(std::uint32_t word, std::uint32_t value);
  /// Whether the driver has chosen all or some of the bits of `feature`; for good from FEATURES_OK
  /// on.
  [[nodiscard]] bool negotiated(std::uint64_t feature) const {
    return (driver_features_ & feature) != 0;
  }

  /// The driver's bits, and DEVICE_NEEDS_RESET when the device has asked for it.
  [[nodiscard]] std::uint8_t status() const;
  /// The driver's write of the status: 0 resets, at once; else one step of 3.1.1 at a time, but for
  /// ACKNOWLEDGE and DRIVER, which may come together. A write that is no such step changes nothing;
  /// neither does FEATURES_OK with features that were not offered, without VERSION_1, or with what
  /// the device does not accept. DRIVER_OK with a queue or a device that cannot run is followed by
  /// DEVICE_NEEDS_RESET, and its interrupt.
  void set_status(std::uint8_t value);
  /// Resets the device as a write of 0 does.
  void reset();
  /// Ends the workers, and takes DRIVER_OK away: nothing of the guest's memory is touched any more.
  /// For a transport that learns that the device may not.
  void stop();
  /// Whether the workers run: from DRIVER_OK on, if the device could start.
  [[nodiscard]] bool active() const { return active_; }

  /// Queues that the device has, enabled or not.
  [[nodiscard]] std::uint16_t queue_count() const {
    return static_cast<std::uint16_t>(queues_.size());
  }
  /// The settings of a queue; nullptr when there is no such queue.
  [[nodiscard]] const virtio_queue::QueueConfig* queue(std::uint32_t index) const;
  /// The same when the driver may change them now, else nullptr.
  [[nodiscard]] virtio_queue::QueueConfig* editable_queue(std::uint32_t index);
  /// Enables a queue; for one that was reset while the device runs, its worker starts again.
  void enable_queue(std::uint32_t index);
  /// Disables a queue. One of a device that runs is stopped, when that offers VIRTIO_F_RING_RESET,
  /// and may be set up anew; else it stays enabled. When it returns a queue that is not enabled is
  /// not used any more.
  void disable_queue(std::uint32_t index);
  /// VIRTIO_F_RING_RESET: 2.6.1. When it returns the queue is not used any more.
  void reset_queue(std::uint32_t index);

  /// The driver's kick, as an eventfd, for Doorbells; -1 when there is no such queue.
  [[nodiscard]] int kick_fd(std::uint32_t index) const;
  /// A kick that no doorbell took. Nothing when there is no such queue.
  void kick(std::uint32_t index);

  /// InterruptSink::queue_interrupt_fd() says something else now: those who were told hear of it.
  void interrupts_moved();

  /// Of the device's configuration space, at most 4096.
  [[nodiscard]] std::size_t config_bytes() const;
  /// Fills `data` from the configuration space; what is beyond it stays as it is. All that is read
  /// under one config_generation() belongs together: 2.5.
  void read_config(std::uint64_t offset, std::span<std::byte> data);
  /// What is beyond the configuration space is passed over.
  void write_config(std::uint64_t offset, std::span<const std::byte> data);
  /// Changes with the contents of the configuration space: 2.5. Asks the device.
  [[nodiscard]] std::uint32_t config_generation();

 private:
  struct QueueSlot {
    virtio_queue::QueueConfig config;
    sys_util::EventFd kick;
    bool stopped = false;  ///< reset or disabled while the device runs
  };

  explicit TransportCore(Parts parts);
  Result<void> add_queue(std::uint16_t max_size);
  [[nodiscard]] bool may_set_up_queues() const;
  [[nodiscard]] bool runs(const QueueSlot& slot) const;
  void step(std::uint8_t value);
  [[nodiscard]] bool accept_features();
  void activate();
  Result<std::vector<ActiveQueue>> make_queues();
  Result<ActiveQueue> make_queue(std::uint16_t index);

  Parts parts_;
  std::uint64_t offered_;
  std::uint64_t driver_features_ = 0;
  std::uint8_t driver_status_ = 0;  ///< without NEEDS_RESET
  bool active_ = false;
  std::vector<QueueSlot> queues_;
  std::shared_ptr<detail::DriverLink> link_;
};

}  // namespace vmm::virtio_device
