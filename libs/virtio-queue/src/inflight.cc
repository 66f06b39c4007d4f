// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/inflight.h"

#include <algorithm>

#include "inflight_region.h"

namespace vmm::virtio_queue {
namespace {

using namespace inflight_region;

// The header goes on: last_batch_head, used_idx (2 bytes each).
constexpr std::size_t kLastBatchHead = 12;
constexpr std::size_t kUsedIdx = 14;
// An entry: inflight (1 byte), 5 bytes of padding, next (2 bytes), counter (8 bytes).
constexpr std::size_t kInflight = 0;
constexpr std::size_t kNext = 6;
constexpr std::size_t kCounter = 8;

}  // namespace

bool is_fresh_inflight(const vm_memory::GuestSlice& region) {
  return region.size() >= kVersion + 2 && region.load<std::uint16_t>(kVersion) == 0;
}

Result<SplitInflight, QueueError> SplitInflight::format(const vm_memory::GuestSlice& region,
                                                        std::uint16_t queue_size) {
  VMM_TRY_DO(check(region, bytes(queue_size), queue_size));
  region.fill(std::byte{0});
  region.store<std::uint16_t>(queue_size, kDescNum);
  region.store<std::uint16_t, kRelease>(kThisVersion, kVersion);
  return SplitInflight(region, queue_size);
}

Result<SplitInflight, QueueError> SplitInflight::open(const vm_memory::GuestSlice& region,
                                                      std::uint16_t queue_size) {
  VMM_TRY_DO(check_formatted(region, bytes(queue_size), queue_size));
  return SplitInflight(region, queue_size);
}

void SplitInflight::begin(std::uint16_t head) {
  if (head >= size_) return;
  region_.store<std::uint64_t>(counter_++, entry(head) + kCounter);
  region_.store<std::uint8_t, kRelease>(1, entry(head) + kInflight);
}

void SplitInflight::stage(std::uint16_t head) {
  if (head >= size_ || staged_.size() >= size_) return;
  staged_.push_back(head);
  region_.store<std::uint16_t>(region_.load<std::uint16_t>(kLastBatchHead), entry(head) + kNext);
  region_.store<std::uint16_t, kRelease>(head, kLastBatchHead);
}

void SplitInflight::commit(std::uint16_t used_index) {
  for (const std::uint16_t head : staged_) {
    region_.store<std::uint8_t, kRelease>(0, entry(head) + kInflight);
  }
  staged_.clear();
  region_.store<std::uint16_t, kRelease>(used_index, kUsedIdx);
}

void SplitInflight::cancel(std::uint16_t head) {
  if (head < size_) region_.store<std::uint8_t, kRelease>(0, entry(head) + kInflight);
}

std::vector<Resubmit> SplitInflight::recover(std::uint16_t used_index) {
  // The batch that was being published: its buffers hang on last_batch_head.
  auto unfinished = static_cast<std::uint16_t>(used_index - region_.load<std::uint16_t>(kUsedIdx));
  std::uint16_t head = region_.load<std::uint16_t>(kLastBatchHead);
  for (unfinished = std::min(unfinished, size_); unfinished != 0 && head < size_; --unfinished) {
    region_.store<std::uint8_t>(0, entry(head) + kInflight);
    head = region_.load<std::uint16_t>(entry(head) + kNext);
  }
  region_.store<std::uint16_t, kRelease>(used_index, kUsedIdx);

  std::vector<Resubmit> list;
  for (std::uint16_t i = 0; i < size_; ++i) {
    if (region_.load<std::uint8_t>(entry(i) + kInflight) == 0) continue;
    list.push_back({.head = i, .order = region_.load<std::uint64_t>(entry(i) + kCounter)});
  }
  sort_oldest_first(list);
  for (const Resubmit& one : list) counter_ = std::max(counter_, one.order + 1);
  return list;
}

}  // namespace vmm::virtio_queue
