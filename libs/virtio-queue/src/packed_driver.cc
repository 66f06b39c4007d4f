// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/driver/packed_driver.h"

#include <utility>

#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::driver {

using detail::load;
using detail::store;

PackedDriver::PackedDriver(const QueueShape& shape, vm_memory::MemoryView memory,
                           const detail::Rings& rings)
    : shape_(shape),
      memory_(memory),
      rings_(rings),
      counts_(shape.size),
      free_descriptors_(shape.size) {
  for (std::uint32_t i = shape.size; i != 0; --i) {
    free_ids_.push_back(static_cast<std::uint16_t>(i - 1));
  }
}

Result<PackedDriver, QueueError> PackedDriver::create(const QueueShape& shape,
                                                      vm_memory::MemoryView memory) {
  if (shape.size == 0 || shape.size > kMaxQueueSize) return fail(QueueError::kBadSize);
  VMM_TRY(const detail::Rings rings, detail::resolve(shape, memory));
  const RingLayout layout = ring_layout(shape.size, true);
  (void)memory.fill(shape.rings.descriptors, layout.descriptors, std::byte{0});
  (void)memory.fill(shape.rings.driver, layout.driver, std::byte{0});
  (void)memory.fill(shape.rings.device, layout.device, std::byte{0});
  return PackedDriver(shape, memory, rings);
}

void PackedDriver::put(const Buffer& buffer, std::uint16_t flags, std::uint16_t id) {
  std::byte* const at = rings_.descriptors + std::size_t{next_avail_.offset} * kDescriptorBytes;
  flags = static_cast<std::uint16_t>(flags | (next_avail_.wrap ? kDescAvail : kDescUsed));
  const std::uint32_t rest = id | std::uint32_t{flags} << 16;
  store<std::uint64_t>(at, buffer.address.raw());
  store<std::uint32_t>(at + 8, buffer.length);
  if (staged_ == nullptr) {
    staged_ = at;
    staged_rest_ = rest;
  } else {
    store<std::uint32_t>(at + 12, rest);
  }
  next_avail_.advance(1, shape_.size);
  ++steps_;
  --free_descriptors_;
}

Result<std::uint16_t, QueueError> PackedDriver::add(std::span<const Buffer> buffers) {
  if (buffers.empty() || buffers.size() > free_descriptors_) {
    return fail(QueueError::kTooManyPieces);
  }
  const std::uint16_t id = free_ids_.back();
  free_ids_.pop_back();
  counts_[id] = static_cast<std::uint16_t>(buffers.size());
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    const int flags = (buffers[i].device_writable ? kDescWrite : 0) | (last ? 0 : kDescNext);
    put(buffers[i], static_cast<std::uint16_t>(flags), id);
  }
  return id;
}

Result<std::uint16_t, QueueError> PackedDriver::add_indirect(std::span<const Buffer> buffers,
                                                             GuestAddress table) {
  if (buffers.empty() || buffers.size() > kMaxQueueSize || free_descriptors_ == 0) {
    return fail(QueueError::kTooManyPieces);
  }
  const auto bytes = static_cast<std::uint32_t>(buffers.size() * kDescriptorBytes);
  if (!memory_.check_range(table, bytes)) return fail(QueueError::kBadMemory);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    (void)memory_.write(
        GuestAddress(table.raw() + i * kDescriptorBytes),
        PackedDescriptor{Le64(buffers[i].address.raw()), Le32(buffers[i].length), Le16(0),
                         Le16(buffers[i].device_writable ? kDescWrite : std::uint16_t{0})});
  }
  const std::uint16_t id = free_ids_.back();
  free_ids_.pop_back();
  counts_[id] = 1;
  put({table, bytes, false}, kDescIndirect, id);
  return id;
}

bool PackedDriver::publish() {
  if (staged_ == nullptr) return false;
  // Release: a device that sees this descriptor available (acquire) sees all the others.
  store<std::uint32_t, __ATOMIC_RELEASE>(staged_ + 12, staged_rest_);
  staged_ = nullptr;
  const std::uint32_t steps = steps_;
  steps_ = 0;
  detail::full_barrier();  // between the descriptor and the device's event structure
  const auto events = load<std::uint32_t>(rings_.device);
  const std::uint32_t flags = events >> 16 & 3;
  if (flags != kEventsDescriptor) return flags != kEventsDisable;
  return packed_event_passed(RingPosition::from_bits(static_cast<std::uint16_t>(events)),
                             next_avail_, steps, shape_.size);
}

bool PackedDriver::is_used_next() const {
  const std::byte* const at =
      rings_.descriptors + std::size_t{next_used_.offset} * kDescriptorBytes;
  const auto flags = load<std::uint32_t, __ATOMIC_ACQUIRE>(at + 12) >> 16;
  const bool avail = (flags & kDescAvail) != 0;
  const bool used = (flags & kDescUsed) != 0;
  return avail == used && used == next_used_.wrap;
}

Result<std::optional<Used>, QueueError> PackedDriver::reap() {
  if (!is_used_next()) return Result<std::optional<Used>, QueueError>(std::in_place);
  const std::byte* const at =
      rings_.descriptors + std::size_t{next_used_.offset} * kDescriptorBytes;
  const Used used{.token = static_cast<std::uint16_t>(load<std::uint32_t>(at + 12)),
                  .written = load<std::uint32_t>(at + 8)};
  if (used.token >= shape_.size || counts_[used.token] == 0) return fail(QueueError::kBadHead);
  take_back(used.token);
  return Result<std::optional<Used>, QueueError>(std::in_place, used);
}

void PackedDriver::take_back(std::uint16_t id) {
  const std::uint16_t count = std::exchange(counts_[id], std::uint16_t{0});
  next_used_.advance(count, shape_.size);
  free_descriptors_ += count;
  free_ids_.push_back(id);
}

void PackedDriver::disable_interrupts() {
  store<std::uint32_t>(rings_.driver, std::uint32_t{kEventsDisable} << 16);
}

bool PackedDriver::enable_interrupts() {
  store<std::uint32_t>(rings_.driver,
                       shape_.event_idx ? next_used_.bits() | std::uint32_t{kEventsDescriptor} << 16
                                        : std::uint32_t{kEventsEnable} << 16);
  detail::full_barrier();  // between the event structure and the descriptor's flags
  return is_used_next();
}

}  // namespace vmm::virtio_queue::driver
