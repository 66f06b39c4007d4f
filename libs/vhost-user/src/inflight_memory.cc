// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/inflight_memory.h"

#include <sys/mman.h>

#include <utility>

#include "file_range.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/sys_util/page_size.h"
#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::vhost_user {
namespace {

// Regions do not share cache lines.
constexpr std::size_t kAlignment = 64;

std::size_t queue_bytes(std::uint16_t queue_size, bool packed) {
  const std::size_t bytes = packed ? virtio_queue::PackedInflight::bytes(queue_size)
                                   : virtio_queue::SplitInflight::bytes(queue_size);
  return *align_up(bytes, kAlignment);
}

}  // namespace

Result<InflightMemory> InflightMemory::create(std::uint16_t queue_count, std::uint16_t queue_size,
                                              bool packed) {
  if (queue_count == 0 || queue_count > kMaxQueues || queue_size == 0 ||
      queue_size > virtio_queue::kMaxQueueSize) {
    return fail(MessageError::kBadValue);
  }
  const std::size_t bytes =
      *align_up(queue_count * queue_bytes(queue_size, packed), sys_util::page_size());
  VMM_TRY(auto file, sys_util::MemFd::create(bytes, {.name = "vhost-user-inflight"}));
  const InflightArea area{
      .mmap_bytes = bytes, .mmap_offset = 0, .queue_count = queue_count, .queue_size = queue_size};
  return map(area, std::move(file).release(), packed);
}

Result<InflightMemory> InflightMemory::open(const InflightArea& area, UniqueFd fd, bool packed) {
  if (area.queue_count > kMaxQueues || area.queue_size > virtio_queue::kMaxQueueSize) {
    return fail(MessageError::kBadValue);
  }
  const std::size_t needed = area.queue_count * queue_bytes(area.queue_size, packed);
  if (needed == 0 || area.mmap_bytes < needed || area.mmap_offset % sys_util::page_size() != 0) {
    return fail(MessageError::kBadRange);
  }
  VMM_TRY_DO(check_file_range(fd.get(), area.mmap_offset, area.mmap_bytes));
  return map(area, std::move(fd), packed);
}

Result<InflightMemory> InflightMemory::map(const InflightArea& area, UniqueFd fd, bool packed) {
  const std::size_t needed = area.queue_count * queue_bytes(area.queue_size, packed);
  VMM_TRY(auto mapped, as_message_error(sys_util::map_file(fd.get(), area.mmap_offset, needed,
                                                           PROT_READ | PROT_WRITE)));
  return InflightMemory(std::move(fd), std::move(mapped), area, packed);
}

std::optional<vm_memory::GuestSlice> InflightMemory::queue(std::uint32_t index) const {
  if (index >= area_.queue_count) return std::nullopt;
  const std::size_t bytes = queue_bytes(area_.queue_size, packed_);
  return vm_memory::GuestSlice(std::span(mapped_.data + index * bytes, bytes));
}

}  // namespace vmm::vhost_user
