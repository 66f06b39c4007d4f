// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vhost_worker.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/virtio_device/features.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::vhost_device {
namespace {

using event_manager::EventSet;
using virtio_device::ActiveQueue;

constexpr std::uint64_t kOfQueues =
    virtio_queue::kFeatureIndirect | virtio_queue::kFeatureEventIdx | virtio_queue::kFeaturePacked |
    virtio_queue::kFeatureInOrder | virtio_queue::kFeatureNotificationData;

bool is_tracked(const vm_memory::RegionMap& memory) {
  return std::ranges::any_of(memory.regions(),
                             [](const auto& region) { return region->dirty() != nullptr; });
}

}  // namespace

std::uint64_t kernel_features(std::uint64_t negotiated, std::uint64_t offered) {
  return negotiated & offered & ~virtio_device::kFeatureAccessPlatform & ~vhost::kFeatureLogAll &
         ~vhost::kFeatureNoNetHeader;
}

// IN_ORDER and NOTIFICATION_DATA need the transport or this library as well, and are not offered.
std::uint64_t queue_features(std::uint64_t offered) {
  constexpr std::uint64_t kKnown = virtio_queue::kFeatureIndirect | virtio_queue::kFeatureEventIdx |
                                   virtio_queue::kFeaturePacked;
  return (offered & kKnown) | ~kOfQueues;
}

VhostWorker::VhostWorker(Parts parts, virtio_device::Activation activation)
    : parts_(std::move(parts)),
      memory_(activation.memory.snapshot()),
      interrupt_(std::move(activation.interrupt)),
      waiting_(std::move(activation.queues)) {}

Result<std::unique_ptr<VhostWorker>> VhostWorker::create(Parts parts,
                                                         virtio_device::Activation activation) {
  std::unique_ptr<VhostWorker> worker(new VhostWorker(std::move(parts), std::move(activation)));
  if (is_tracked(*worker->memory_)) {
    return fail(Error::os(ENOTSUP, "vhost device: guest memory with dirty tracking"));
  }
  return worker;
}

VhostWorker::~VhostWorker() {
  for (const auto& ring : running_) stop(*ring);
}

Result<void> VhostWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY(const auto table, vhost::MemoryTable::create(memory_->view().regions()));
  VMM_TRY_DO(parts_.device.set_features(parts_.features));
  VMM_TRY_DO(parts_.device.set_memory(table));
  for (ActiveQueue& queue : waiting_) VMM_TRY_DO(start_queue(queue));
  waiting_.clear();
  return {};
}

// Buffers may be there already, for which the driver kicked another worker, or nobody.
Result<void> VhostWorker::start_queue(ActiveQueue& queue) {
  VMM_TRY_DO(set_addresses(queue));
  VMM_TRY(auto broken, sys_util::EventFd::create());
  VMM_TRY(auto interrupt, sys_util::EventFd::create());
  auto ring = std::make_unique<Ring>(Ring{.queue = queue.index,
                                          .packed = queue.queue.is_packed(),
                                          .left_at = std::move(queue.left_at),
                                          .broken = std::move(broken),
                                          .interrupt = std::move(interrupt)});
  Result<void> started = connect(*ring, queue);
  if (started) started = parts_.rings->start(number_of(queue.index));
  if (!started) {
    stop(*ring);
    return started;
  }
  running_.push_back(std::move(ring));
  const std::uint64_t one = 1;
  (void)!::write(queue.kick_fd, &one, sizeof(one));  // fails only when a kick waits already
  return {};
}

// The kernel ends what it has begun before it stops.
void VhostWorker::drain() {
  for (const auto& ring : running_) (void)parts_.rings->stop(number_of(ring->queue));
}

bool VhostWorker::stop_queue(std::uint16_t index) {
  const auto found =
      std::ranges::find_if(running_, [&](const auto& ring) { return ring->queue == index; });
  if (found == running_.end()) return false;
  stop(**found);
  running_.erase(found);
  return true;
}

Result<void> VhostWorker::set_addresses(const ActiveQueue& queue) const {
  const std::uint32_t ring = number_of(queue.index);
  const virtio_queue::QueueShape& shape = queue.queue.shape();
  VMM_TRY(const auto addresses, vhost::host_addresses({.shape = shape}, memory_->view()));
  VMM_TRY_DO(parts_.device.set_ring_size({.ring = ring, .value = shape.size}));
  VMM_TRY_DO(parts_.device.set_ring_base(
      {.ring = ring, .value = vhost::to_base(queue.queue.position(), shape.packed)}));
  return parts_.device.set_ring_addresses(ring, addresses);
}

Result<void> VhostWorker::connect(Ring& ring, const ActiveQueue& queue) {
  const std::uint32_t number = number_of(ring.queue);
  VMM_TRY_DO(watch_for_breaks(ring));
  VMM_TRY_DO(connect_interrupt(ring));
  VMM_TRY_DO(parts_.device.set_ring_error(number, ring.broken.fd()));
  return parts_.device.set_ring_kick(number, queue.kick_fd);
}

Result<void> VhostWorker::connect_interrupt(Ring& ring) {
  int call = interrupt_->used_buffers_fd(ring.queue);
  if (call < 0) {
    if (!ring.interrupt_watch) VMM_TRY_DO(relay_interrupts(ring));
    call = ring.interrupt.fd();
  }
  return parts_.device.set_ring_call(number_of(ring.queue), call);
}

// Where that fails the driver would wait for ever.
void VhostWorker::move_interrupts() {
  for (const auto& ring : running_) {
    if (!connect_interrupt(*ring)) interrupt_->needs_reset();
  }
}

Result<void> VhostWorker::relay_interrupts(Ring& ring) {
  VMM_TRY(ring.interrupt_watch,
          loop_->add(ring.interrupt.fd(), event_manager::kReadable, [this, &ring](EventSet) {
            (void)ring.interrupt.take();
            interrupt_->used_buffers(ring.queue);
          }));
  return {};
}

// The kernel does not go on with such a ring by itself; stopping it makes sure that it says so
// once.
Result<void> VhostWorker::watch_for_breaks(Ring& ring) {
  VMM_TRY(ring.broken_watch,
          loop_->add(ring.broken.fd(), event_manager::kReadable, [this, &ring](EventSet) {
            (void)ring.broken.take();
            (void)parts_.rings->stop(number_of(ring.queue));
            interrupt_->needs_reset();
          }));
  return {};
}

void VhostWorker::stop(const Ring& ring) const {
  const std::uint32_t number = number_of(ring.queue);
  if (const auto stopped = parts_.rings->stop(number); !stopped) {
    VMM_LOG_GUEST(kError, "vhost ring %u does not stop: %s", number,
                  to_string(stopped.error()).c_str());
  }
  note_position(ring);
  (void)parts_.device.set_ring_kick(number, -1);
  (void)parts_.device.set_ring_call(number, -1);
  (void)parts_.device.set_ring_error(number, -1);
}

void VhostWorker::note_position(const Ring& ring) const {
  if (ring.left_at == nullptr) return;
  const auto base = parts_.device.ring_base(number_of(ring.queue));
  if (base) *ring.left_at = vhost::to_position(*base, ring.packed);
}

}  // namespace vmm::vhost_device
