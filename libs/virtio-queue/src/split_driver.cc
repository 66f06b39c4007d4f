// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/driver/split_driver.h"

#include <algorithm>

#include "vmm/base/checked.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/notification.h"

namespace vmm::virtio_queue::driver {
namespace {

using detail::load;
using detail::store;

void put(std::byte* at, const Buffer& buffer, std::uint16_t flags, std::uint16_t next) {
  store<std::uint64_t>(at, buffer.address.raw());
  store<std::uint32_t>(at + 8, buffer.length);
  store<std::uint16_t>(at + 12, flags);
  store<std::uint16_t>(at + 14, next);
}

}  // namespace

SplitDriver::SplitDriver(const QueueShape& shape, vm_memory::MemoryView memory,
                         const detail::Rings& rings)
    : shape_(shape), memory_(memory), rings_(rings), flights_(shape.size) {
  for (std::uint32_t i = shape.size; i != 0; --i)
    free_.push_back(static_cast<std::uint16_t>(i - 1));
}

Result<SplitDriver, QueueError> SplitDriver::create(const QueueShape& shape,
                                                    vm_memory::MemoryView memory) {
  if (shape.size > kMaxQueueSize || !is_power_of_two(shape.size)) {
    return fail(QueueError::kBadSize);
  }
  VMM_TRY(const detail::Rings rings, detail::resolve(shape, memory));
  const RingLayout layout = ring_layout(shape.size, false);
  (void)memory.fill(shape.rings.descriptors, layout.descriptors, std::byte{0});
  (void)memory.fill(shape.rings.driver, layout.driver, std::byte{0});
  (void)memory.fill(shape.rings.device, layout.device, std::byte{0});
  return SplitDriver(shape, memory, rings);
}

Result<std::uint16_t, QueueError> SplitDriver::add(std::span<const Buffer> buffers) {
  if (buffers.empty() || buffers.size() > free_.size()) return fail(QueueError::kTooManyPieces);
  std::vector<std::uint16_t> used(free_.end() - static_cast<std::ptrdiff_t>(buffers.size()),
                                  free_.end());
  free_.resize(free_.size() - buffers.size());
  for (std::size_t i = 0; i < used.size(); ++i) {
    const bool last = i + 1 == used.size();
    const int flags = (buffers[i].device_writable ? kDescWrite : 0) | (last ? 0 : kDescNext);
    put(rings_.descriptors + std::size_t{used[i]} * kDescriptorBytes, buffers[i],
        static_cast<std::uint16_t>(flags), last ? std::uint16_t{0} : used[i + 1]);
  }
  const std::uint16_t head = used.front();
  flights_[head].descriptors = std::move(used);
  make_available(head);
  return head;
}

Result<std::uint16_t, QueueError> SplitDriver::add_indirect(std::span<const Buffer> buffers,
                                                            GuestAddress table) {
  if (buffers.empty() || buffers.size() > kMaxQueueSize || free_.empty()) {
    return fail(QueueError::kTooManyPieces);
  }
  const auto bytes = static_cast<std::uint32_t>(buffers.size() * kDescriptorBytes);
  if (!memory_.check_range(table, bytes)) return fail(QueueError::kBadMemory);
  for (std::size_t i = 0; i < buffers.size(); ++i) {
    const bool last = i + 1 == buffers.size();
    const int flags = (buffers[i].device_writable ? kDescWrite : 0) | (last ? 0 : kDescNext);
    (void)memory_.write(
        GuestAddress(table.raw() + i * kDescriptorBytes),
        SplitDescriptor{Le64(buffers[i].address.raw()), Le32(buffers[i].length),
                        Le16(static_cast<std::uint16_t>(flags)),
                        Le16(last ? std::uint16_t{0} : static_cast<std::uint16_t>(i + 1))});
  }
  const std::uint16_t head = free_.back();
  free_.pop_back();
  put(rings_.descriptors + std::size_t{head} * kDescriptorBytes, {table, bytes, false},
      kDescIndirect, 0);
  flights_[head].descriptors = {head};
  make_available(head);
  return head;
}

void SplitDriver::make_available(std::uint16_t head) {
  store<std::uint16_t>(rings_.driver + SplitAvail::entry(next_avail_ & (shape_.size - 1u)), head);
  ++next_avail_;
  if (shape_.in_order) order_.push_back(head);
}

bool SplitDriver::publish() {
  const std::uint16_t before = published_;
  published_ = next_avail_;
  // Release: a device that sees the index (acquire) sees entries and descriptors.
  store<std::uint16_t, __ATOMIC_RELEASE>(rings_.driver + SplitAvail::kIndex, next_avail_);
  detail::full_barrier();  // between avail.idx and avail_event or flags
  if (!shape_.event_idx) {
    return (load<std::uint16_t>(rings_.device + SplitUsed::kFlags) & kUsedNoNotify) == 0;
  }
  const auto event = load<std::uint16_t>(rings_.device + SplitUsed::avail_event(shape_.size));
  return event_passed(event, next_avail_, before);
}

std::uint16_t SplitDriver::used_index() const {
  return load<std::uint16_t, __ATOMIC_ACQUIRE>(rings_.device + SplitUsed::kIndex);
}

Used SplitDriver::take_back(std::uint16_t head, std::uint32_t written) {
  std::vector<std::uint16_t>& descriptors = flights_[head].descriptors;
  free_.insert(free_.end(), descriptors.begin(), descriptors.end());
  descriptors.clear();
  return {.token = head, .written = written};
}

Result<std::optional<Used>, QueueError> SplitDriver::reap() {
  if (used_index() == next_used_) return std::optional<Used>();
  const std::byte* const at = rings_.device + SplitUsed::entry(next_used_ & (shape_.size - 1u));
  const auto id = load<std::uint32_t>(at);
  const auto written = load<std::uint32_t>(at + 4);
  ++next_used_;
  if (id >= shape_.size || flights_[id].descriptors.empty()) return fail(QueueError::kBadHead);
  if (shape_.in_order) {
    if (order_.empty() || order_.front() != id) return fail(QueueError::kBadHead);
    order_.erase(order_.begin());
  }
  return std::optional(take_back(static_cast<std::uint16_t>(id), written));
}

void SplitDriver::disable_interrupts() {
  if (!shape_.event_idx) {
    store<std::uint16_t>(rings_.driver + SplitAvail::kFlags, kAvailNoInterrupt);
  }
}

bool SplitDriver::enable_interrupts() {
  if (shape_.event_idx) {
    store<std::uint16_t>(rings_.driver + SplitAvail::used_event(shape_.size), next_used_);
  } else {
    store<std::uint16_t>(rings_.driver + SplitAvail::kFlags, 0);
  }
  detail::full_barrier();  // between used_event or flags and used.idx
  return used_index() != next_used_;
}

}  // namespace vmm::virtio_queue::driver
