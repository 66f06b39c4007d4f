// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <algorithm>

#include "inflight_region.h"
#include "vmm/virtio_queue/notification.h"

namespace vmm::virtio_queue {
namespace {

using namespace inflight_region;

// The header goes on: of 2 bytes each the following, then two wrap counters.
constexpr std::size_t kFreeHead = 12;
constexpr std::size_t kOldFreeHead = 14;
constexpr std::size_t kUsedIdx = 16;
constexpr std::size_t kOldUsedIdx = 18;
constexpr std::size_t kUsedWrap = 20;
constexpr std::size_t kOldUsedWrap = 21;
// An entry: inflight (1 byte), padding (1 byte), next, last, num (2 bytes each), counter (8 bytes),
// id, flags (2 bytes each), len (4 bytes), addr (8 bytes).
constexpr std::size_t kInflight = 0;
constexpr std::size_t kNext = 2;
constexpr std::size_t kLast = 4;
constexpr std::size_t kNum = 6;
constexpr std::size_t kCounter = 8;
constexpr std::size_t kId = 16;
constexpr std::size_t kFlags = 18;
constexpr std::size_t kLength = 20;
constexpr std::size_t kAddress = 24;

}  // namespace

Result<PackedInflight, QueueError> PackedInflight::format(const vm_memory::GuestSlice& region,
                                                          std::uint16_t queue_size,
                                                          const QueuePosition& position) {
  VMM_TRY_DO(check(region, bytes(queue_size), queue_size));
  PackedInflight inflight(region, queue_size);
  region.fill(std::byte{0});
  region.store<std::uint16_t>(queue_size, kDescNum);
  const RingPosition used = RingPosition::from_bits(position.next_used);
  region.store<std::uint16_t>(used.offset, kUsedIdx);
  region.store<std::uint8_t>(used.wrap ? 1 : 0, kUsedWrap);
  inflight.copy_state(true);
  for (std::uint16_t i = 0; i < queue_size; ++i) {
    region.store<std::uint16_t>(static_cast<std::uint16_t>(i + 1), inflight.entry(i) + kNext);
  }
  region.store<std::uint16_t, kRelease>(kThisVersion, kVersion);
  return inflight;
}

Result<PackedInflight, QueueError> PackedInflight::open(const vm_memory::GuestSlice& region,
                                                        std::uint16_t queue_size) {
  VMM_TRY_DO(check_formatted(region, bytes(queue_size), queue_size));
  return PackedInflight(region, queue_size);
}

void PackedInflight::begin(std::span<const PackedDescriptor> list) {
  const std::uint16_t head = get(kOldFreeHead);
  if (list.empty() || head >= size_ || list.back().id.get() >= size_) return;
  region_.store<std::uint16_t>(0, entry(head) + kNum);
  region_.store<std::uint64_t>(counter_++, entry(head) + kCounter);
  region_.store<std::uint8_t>(1, entry(head) + kInflight);
  std::uint16_t at = get(kFreeHead);
  for (std::size_t i = 0; i < list.size() && at < size_; ++i) {
    if (i + 1 == list.size()) region_.store<std::uint16_t>(at, entry(head) + kLast);
    region_.store<std::uint16_t>(static_cast<std::uint16_t>(i + 1), entry(head) + kNum);
    region_.store<std::uint64_t>(list[i].address.get(), entry(at) + kAddress);
    region_.store<std::uint32_t>(list[i].length.get(), entry(at) + kLength);
    region_.store<std::uint16_t>(list[i].flags.get(), entry(at) + kFlags);
    region_.store<std::uint16_t>(list[i].id.get(), entry(at) + kId);
    at = get(entry(at) + kNext);
    region_.store<std::uint16_t, kRelease>(at, kFreeHead);
  }
  region_.store<std::uint16_t, kRelease>(at, kOldFreeHead);
  entries_[list.back().id.get()] = head;
}

void PackedInflight::cancel(std::uint16_t id) {
  if (id >= size_ || entries_[id] >= size_) return;
  const std::uint16_t at = entries_[id];
  const std::uint16_t last = get(entry(at) + kLast);
  region_.store<std::uint8_t, kRelease>(0, entry(at) + kInflight);
  if (last < size_) region_.store<std::uint16_t>(get(kFreeHead), entry(last) + kNext);
  region_.store<std::uint16_t, kRelease>(at, kFreeHead);
  region_.store<std::uint16_t, kRelease>(at, kOldFreeHead);
  entries_[id] = kNone;
}

void PackedInflight::stage(std::uint16_t id) {
  if (id >= size_ || entries_[id] >= size_) return;
  const std::uint16_t at = entries_[id];
  const std::uint16_t last = get(entry(at) + kLast);
  if (last < size_) region_.store<std::uint16_t>(get(kFreeHead), entry(last) + kNext);
  region_.store<std::uint16_t, kRelease>(at, kFreeHead);
  RingPosition used{.offset = get(kUsedIdx), .wrap = region_.load<std::uint8_t>(kUsedWrap) != 0};
  used.advance(std::min(get(entry(at) + kNum), size_), size_);
  region_.store<std::uint16_t>(used.offset, kUsedIdx);
  region_.store<std::uint8_t, kRelease>(used.wrap ? 1 : 0, kUsedWrap);
  entries_[id] = kNone;
  staged_.push_back(at);
}

void PackedInflight::copy_state(bool to_old) const {
  static constexpr std::size_t kWords[][2] = {{kFreeHead, kOldFreeHead}, {kUsedIdx, kOldUsedIdx}};
  for (const auto& pair : kWords) {
    region_.store<std::uint16_t>(get(pair[to_old ? 0 : 1]), pair[to_old ? 1 : 0]);
  }
  region_.store<std::uint8_t, kRelease>(
      region_.load<std::uint8_t>(to_old ? kUsedWrap : kOldUsedWrap),
      to_old ? kOldUsedWrap : kUsedWrap);
}

void PackedInflight::commit() {
  for (const std::uint16_t at : staged_) {
    region_.store<std::uint8_t, kRelease>(0, entry(at) + kInflight);
  }
  staged_.clear();
  copy_state(true);
}

bool PackedInflight::was_published(const vm_memory::GuestSlice& ring) const {
  const std::uint16_t at = get(kOldUsedIdx);
  const auto raw = ring.read<PackedDescriptor>(std::size_t{at} * kDescriptorBytes);
  if (!raw) return false;
  const bool wrap = region_.load<std::uint8_t>(kOldUsedWrap) != 0;
  const int available = wrap ? kDescAvail : kDescUsed;
  return (raw->flags.get() & (kDescAvail | kDescUsed)) != available;
}

void PackedInflight::free_all_listed() const {
  std::uint16_t at = get(kFreeHead);
  for (std::uint32_t left = size_; left != 0 && at < size_; --left) {
    region_.store<std::uint8_t>(0, entry(at) + kInflight);
    at = get(entry(at) + kNext);
  }
}

std::vector<PackedDescriptor> PackedInflight::list_of(std::uint16_t at, std::uint16_t count) const {
  std::vector<PackedDescriptor> list;
  for (std::uint16_t i = 0; i < count && at < size_; ++i) {
    list.push_back({Le64(region_.load<std::uint64_t>(entry(at) + kAddress)),
                    Le32(region_.load<std::uint32_t>(entry(at) + kLength)),
                    Le16(get(entry(at) + kId)), Le16(get(entry(at) + kFlags))});
    at = get(entry(at) + kNext);
  }
  return list;
}

std::vector<Resubmit> PackedInflight::recover(const vm_memory::GuestSlice& ring) {
  const bool unfinished =
      get(kUsedIdx) != get(kOldUsedIdx) ||
      region_.load<std::uint8_t>(kUsedWrap) != region_.load<std::uint8_t>(kOldUsedWrap);
  copy_state(unfinished && was_published(ring));
  free_all_listed();
  std::vector<Resubmit> requests;
  in_flight_ = 0;
  for (std::uint16_t i = 0; i < size_; ++i) {
    if (region_.load<std::uint8_t>(entry(i) + kInflight) == 0) continue;
    // All lists together have at most as many descriptors as the ring.
    const std::uint16_t count = get(entry(i) + kNum);
    if (count > size_ - in_flight_) continue;
    std::vector<PackedDescriptor> list = list_of(i, count);
    if (list.empty()) continue;
    const std::uint16_t id = list.back().id.get();
    if (id >= size_) continue;
    in_flight_ += static_cast<std::uint32_t>(list.size());
    entries_[id] = i;
    const auto order = region_.load<std::uint64_t>(entry(i) + kCounter);
    counter_ = std::max(counter_, order + 1);
    requests.push_back({.head = id, .order = order, .list = std::move(list)});
  }
  sort_oldest_first(requests);
  return requests;
}

QueuePosition PackedInflight::position() const {
  RingPosition at{.offset = static_cast<std::uint16_t>(get(kUsedIdx) % size_),
                  .wrap = region_.load<std::uint8_t>(kUsedWrap) != 0};
  const std::uint16_t used = at.bits();
  at.advance(in_flight_, size_);
  return {.next_avail = at.bits(), .next_used = used};
}

}  // namespace vmm::virtio_queue
