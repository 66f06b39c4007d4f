// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>

#include "event_line.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/inflight_memory.h"
#include "vmm/vhost_user/memory_table.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_queue/queue_config.h"
#include "vmm/vm_memory/iotlb.h"

namespace vmm::vhost_user_backend {

/// How what a front end says about rings leads to memory.
struct RingMemory {
  const vhost_user::MemoryTable& table;
  /// Where the addresses of rings are I/O addresses.
  const vm_memory::GuestMemory* io = nullptr;

  [[nodiscard]] std::optional<GuestAddress> find(std::uint64_t address, std::uint64_t bytes) const {
    return io != nullptr ? GuestAddress(address) : table.to_guest(address, bytes);
  }
  [[nodiscard]] const vm_memory::GuestMemory& memory() const {
    return io != nullptr ? *io : table.memory();
  }
};

/// A part of a ring at I/O addresses, and what a device does there.
struct RingPart {
  vm_memory::IovaRange range;
  vm_memory::Access access;
};

/// What a front end says about one ring, and where the ring was when its worker ended.
///
/// A ring is started by its kick and stopped by GET_VRING_BASE; it runs while it is enabled
/// besides.
///
/// Threads: the session's; `error` is signalled from any.
class Ring {
 public:
  /// Errors: kBadSize; those of eventfd(2).
  static Result<Ring> create(std::uint16_t index, std::uint16_t max_size);

  // All of these: kBadState while the ring is active, unless nothing would change.

  /// Errors: kBadSize.
  Result<void> set_size(std::uint32_t size);
  /// Errors: kBadRange when a part of the ring is not in guest memory; what is at I/O addresses may
  /// come later.
  Result<void> set_addresses(const vhost_user::VringAddresses& addresses, const RingMemory& memory);
  Result<void> set_base(std::uint32_t base);

  /// Starts it with the front end's kick, or with one that nobody else has. Errors: those of
  /// fcntl(2) and eventfd(2).
  Result<void> start(UniqueFd kick);
  /// Ends it, and says where it was.
  std::uint32_t stop();
  /// A kick by a message; starts the ring if need be. Errors: as start().
  Result<void> kick();

  /// Whether nobody kicks it; until it is started again.
  void set_polled(bool polled) { polled_ = polled; }
  [[nodiscard]] bool polled() const { return polled_; }
  void set_enabled(bool enabled) { enabled_ = enabled; }
  void set_features(std::uint64_t features) { config_.set_features(features); }
  [[nodiscard]] bool enabled() const { return enabled_; }
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] bool ready() const { return started_ && enabled_; }
  [[nodiscard]] bool active() const { return left_at_ != nullptr; }
  /// Its three parts, where addresses are I/O addresses.
  [[nodiscard]] std::array<RingPart, 3> parts() const;

  /// Makes the queue that a worker gets; from then on the ring is active. `inflight` is where to
  /// note what is in flight, if that is wanted.
  /// Errors: those of QueueConfig::activate() and Queue::track_inflight(); kBadRange.
  Result<virtio_device::ActiveQueue> activate(const RingMemory& memory,
                                              std::optional<vm_memory::GuestSlice> inflight);
  /// Its worker has ended.
  void deactivate();
  /// Forgets all but the error line.
  void reset();

  EventLine error;

 private:
  Ring(EventLine error_line, std::uint16_t index, virtio_queue::QueueConfig config)
      : error(std::move(error_line)), index_(index), config_(std::move(config)) {}
  /// From base_ and what the driver sees of the ring.
  Result<virtio_queue::QueuePosition> start_position(const RingMemory& memory) const;
  [[nodiscard]] bool packed() const { return config_.packed(); }

  std::uint16_t index_;
  virtio_queue::QueueConfig config_;
  vhost_user::VringAddresses addresses_;
  bool has_addresses_ = false;
  std::uint32_t base_ = 0;
  UniqueFd kick_;
  bool started_ = false;
  bool enabled_ = false;
  bool polled_ = false;
  /// Where it was when it was active last; before that, base_ says it.
  std::optional<virtio_queue::QueuePosition> position_;
  std::shared_ptr<virtio_queue::QueuePosition> left_at_;  // while active
};

}  // namespace vmm::vhost_user_backend
