// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "slice_cache.h"

#include <algorithm>
#include <span>

#include "file_parts.h"
#include "vmm/base/assert.h"
#include "vmm/sys_util/file_io.h"

namespace vmm::block {

SliceCache::SliceCache(int fd, std::size_t slice_bytes, std::size_t limit)
    : fd_(fd), slice_bytes_(slice_bytes), limit_(std::max<std::size_t>(limit, 16)), slots_(1) {
  slots_.front().bytes = std::make_unique<std::byte[]>(slice_bytes_);
}

Result<std::byte*> SliceCache::get(std::uint64_t offset) {
  if (slots_[last_].offset == offset) return slots_[last_].bytes.get();
  if (const auto found = index_.find(offset); found != index_.end()) {
    last_ = found->second;
    slots_[last_].used = true;
    return slots_[last_].bytes.get();
  }
  last_ = free_slot();
  Slot& slot = slots_[last_];
  VMM_TRY_DO(read_all(fd_, {slot.bytes.get(), slice_bytes_}, offset));
  slot.offset = offset;
  slot.used = true;
  index_.emplace(offset, last_);
  return slot.bytes.get();
}

/// A clean slot that belongs to nobody any more.
std::uint32_t SliceCache::free_slot() {
  if (slots_.size() < limit_) {
    slots_.push_back({.bytes = std::make_unique<std::byte[]>(slice_bytes_)});
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  VMM_ASSERT_ALWAYS(dirty_ < limit_);
  for (;; hand_ = (hand_ + 1) % static_cast<std::uint32_t>(slots_.size())) {
    Slot& slot = slots_[hand_];
    if (slot.dirty) continue;
    if (slot.used) {
      slot.used = false;
      continue;
    }
    if (slot.offset != kNowhere) index_.erase(slot.offset);
    slot.offset = kNowhere;
    return hand_;
  }
}

void SliceCache::drop(std::uint64_t offset, std::uint64_t bytes) {
  for (std::uint64_t at = 0; at < bytes; at += slice_bytes_) {
    const auto found = index_.find(offset + at);
    if (found == index_.end()) continue;
    Slot& slot = slots_[found->second];
    if (slot.dirty) --dirty_;
    slot.dirty = false;
    slot.used = false;
    slot.offset = kNowhere;
    index_.erase(found);
  }
}

Result<void> SliceCache::write_dirty() {
  for (Slot& slot : slots_) {
    if (dirty_ == 0) break;
    if (!slot.dirty) continue;
    const std::span<const std::byte> bytes(slot.bytes.get(), slice_bytes_);
    VMM_TRY_DO(sys_util::pwrite_all(fd_, bytes, slot.offset));
    slot.dirty = false;
    --dirty_;
  }
  return {};
}

}  // namespace vmm::block
