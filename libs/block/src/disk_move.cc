// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The part of DiskQueue that moves data: reads and writes, step by step.

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "disk_queue_impl.h"
#include "operation.h"
#include "vmm/base/assert.h"
#include "vmm/base/checked.h"
#include "vmm/block/open_image.h"
#include "vmm/sys_util/file_space.h"

namespace vmm::block {
namespace {

constexpr std::uint64_t kSector = 512;

}  // namespace

void DiskQueue::Impl::start_move(Slot& slot) {
  const ByteRange& all = slot.request.range;
  slot.asked = {.offset = all.offset + slot.done, .bytes = all.bytes - slot.done};
  slot.step_bytes = 0;
  slot.good = 0;
  slot.token = 0;
  if (slot.asked.bytes == 0) return;
  slot.list_left = list_of(slot);
  if (slot.request.kind == DiskRequest::Kind::kRead) return start_read(slot);
  if (slot.asked.offset == 0 && image_->guards_first_sector()) return write_first_sector(slot);
  start_write(slot);
}

void DiskQueue::Impl::start_read(Slot& slot) {
  const auto plan = image_->map(slot.asked, extents_);
  if (!plan) return fail_step(slot, plan.error().code(), 0);
  slot.token = plan->token;
  for (std::size_t i = 0; i < plan->count; ++i) slot.step_bytes += extents_[i].bytes;
  VMM_ASSERT_ALWAYS(plan->count != 0 && slot.step_bytes <= slot.asked.bytes);
  slot.good = slot.step_bytes;
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < plan->count; ++i) {
    start_extent(slot, i, extents_[i], at);
    slot.cursor.skip(extents_[i].bytes);
    at += extents_[i].bytes;
  }
}

void DiskQueue::Impl::start_write(Slot& slot) {
  const auto plan = image_->prepare_write(slot.asked, extents_);
  if (!plan) return fail_step(slot, plan.error().code(), 0);
  VMM_ASSERT_ALWAYS(plan->count != 0 && plan->bytes <= slot.asked.bytes);
  slot.token = plan->token;
  slot.step_bytes = plan->bytes;
  slot.good = plan->bytes;
  std::uint64_t at = 0;
  for (std::size_t i = 0; i < plan->count; ++i) {
    start_extent(slot, i, extents_[i], at);
    slot.cursor.skip(extents_[i].bytes);
    at += extents_[i].bytes;
  }
}

/// When nothing of the step is pending.
void DiskQueue::Impl::end_move(Slot& slot) {
  if (slot.token != 0) {
    if (slot.request.kind == DiskRequest::Kind::kRead) {
      image_->end_read(slot.token);
    } else {
      const auto finished = image_->finish_write(slot.token, slot.error == 0);
      if (!finished) fail_step(slot, finished.error().code(), 0);
    }
  }
  slot.done += slot.good;
  slot.good = 0;
  slot.step_bytes = 0;
  if (slot.done == slot.request.range.bytes && slot.error == 0) {
    slot.step = slot.request.durable ? Step::kSync : Step::kEnd;
  }
}

/// The first sector of an image that was guessed to be raw: what is checked is what is written,
/// whatever the guest does to its memory meanwhile.
void DiskQueue::Impl::write_first_sector(Slot& slot) {
  slot.asked.bytes = std::min<std::uint64_t>(
      slot.asked.bytes, std::max<std::uint64_t>(kSector, image_->file().alignment()));
  // In the second half: bounce_write() uses the first one.
  const std::span<std::byte> copy =
      room_.bounce.bytes().subspan(kBounceBytes / 2, static_cast<std::size_t>(slot.asked.bytes));
  slot.cursor.copy_out(copy);
  if (probe_format(copy) != ImageFormat::kRaw) return fail_step(slot, EPERM, 0);
  Extent extent;
  const auto plan = image_->prepare_write(slot.asked, {&extent, 1});
  if (!plan) return fail_step(slot, plan.error().code(), 0);
  slot.token = plan->token;
  slot.step_bytes = slot.asked.bytes;
  const IoVec private_copy{copy.data(), copy.size()};
  const int error = bounce_write(extent, BufferCursor({&private_copy, 1}));
  if (error != 0) return fail_step(slot, error, 0);
  slot.good = slot.step_bytes;
}

void DiskQueue::Impl::start_extent(Slot& slot, std::size_t index, const Extent& extent,
                                   std::uint64_t at) {
  int error = 0;
  switch (extent.kind) {
    case Extent::Kind::kData:
      return start_transfer(slot, index, extent, at);
    case Extent::Kind::kZero:
      BufferCursor(slot.cursor).zero(extent.bytes);
      return;
    case Extent::Kind::kSlow:
      error = read_slow(slot.asked.offset + at, extent.bytes, slot.cursor);
      break;
  }
  if (error != 0) fail_step(slot, error, at);
}

void DiskQueue::Impl::start_transfer(Slot& slot, std::size_t index, const Extent& extent,
                                     std::uint64_t at) {
  const bool read = slot.request.kind == DiskRequest::Kind::kRead;
  Part& part = slot.parts[index];
  // One place for all there is: the list is right as it is.
  const bool whole =
      extent.bytes == slot.request.range.bytes && slot.request.buffers.size() <= kMaxBuffers;
  std::span<const IoVec> buffers = slot.request.buffers;
  if (!whole) {
    BufferCursor from = slot.cursor;
    buffers = from.list(extent.bytes, slot.list_left);
    slot.list_left = slot.list_left.subspan(buffers.size());
  }
  if (!fits_direct(extent, buffers)) [[unlikely]] {
    const int error = read ? bounce_read(extent, slot.cursor) : bounce_write(extent, slot.cursor);
    if (error != 0) fail_step(slot, error, at);
    return;
  }
  part.operation.kind = read ? Operation::Kind::kRead : Operation::Kind::kWrite;
  part.operation.fd = extent.fd;
  part.operation.offset = extent.file_offset;
  part.operation.buffers = buffers;
  part.at = at;
  part.left = extent.bytes;
  part.zeros_past_end = extent.zeros_past_end;
  part.own_list = !whole;
  start_part(slot, index);
}

void DiskQueue::Impl::complete_move(Slot& slot, Part& part, std::int32_t result) {
  const std::uint64_t total_at = part.at;
  if (result > 0) {
    const std::uint64_t moved = std::min(static_cast<std::uint64_t>(result), part.left);
    part.at += moved;
    part.left -= moved;
    if (part.left == 0) return;
    if (stopping_) return fail_step(slot, ECANCELED, part.at);
    return go_on(slot, part, moved);
  }
  if (result == 0 && part.zeros_past_end && part.operation.kind == Operation::Kind::kRead) {
    return BufferCursor(part.operation.buffers).zero(part.left);
  }
  fail_step(slot, result == 0 ? EIO : -result, total_at);
}

/// After a short transfer: what is left of it.
void DiskQueue::Impl::go_on(Slot& slot, Part& part, std::uint64_t moved) {
  BufferCursor rest(part.operation.buffers);
  rest.skip(moved);
  if (part.own_list) {
    // In its own place: what is written lies at or before what is read.
    auto* const first = const_cast<IoVec*>(part.operation.buffers.data());  // NOLINT: our own list
    part.operation.buffers = rest.list(part.left, {first, part.operation.buffers.size()});
  } else {
    part.operation.buffers = rest.list(part.left, list_of(slot));
    part.own_list = true;
  }
  part.operation.offset += moved;
  start_part(slot, static_cast<std::size_t>(&part - slot.parts.data()));
}

void DiskQueue::Impl::complete_range(Slot& slot, const Part& part, std::int32_t result) {
  if (result >= 0) return;
  const bool cannot = result == -EOPNOTSUPP || result == -ENOSYS;
  if (slot.request.kind == DiskRequest::Kind::kDiscard) {
    if (!cannot) fail_step(slot, -result, 0);  // else it was a hint only
    return;
  }
  if (!cannot) return fail_step(slot, -result, 0);
  const auto written =
      sys_util::write_zeroes(image_->file().buffered_fd(),
                             {.offset = part.operation.offset, .length = part.operation.bytes});
  if (!written) fail_step(slot, written.error().code(), 0);
}

bool DiskQueue::Impl::fits_direct(const Extent& extent, std::span<const IoVec> buffers) const {
  const std::uint64_t mask = image_->file().alignment() - 1;
  if (mask == 0) return true;
  std::uint64_t bits = extent.file_offset | extent.bytes;
  for (const IoVec& buffer : buffers) {
    bits |= reinterpret_cast<std::uintptr_t>(buffer.base) | buffer.bytes;
  }
  return (bits & mask) == 0;
}

/// Direct I/O of any alignment, on this thread: rare, as drivers keep to the block size.
int DiskQueue::Impl::bounce_read(const Extent& extent, BufferCursor cursor) {
  const std::uint64_t alignment = image_->file().alignment();
  std::byte* const bounce = room_.bounce.data();
  std::uint64_t offset = extent.file_offset;
  for (std::uint64_t left = extent.bytes; left != 0;) {
    const std::uint64_t before = offset % alignment;
    const std::uint64_t want =
        std::min<std::uint64_t>(kBounceBytes, align_down(before + left + alignment - 1, alignment));
    const ssize_t got = ::pread(extent.fd, bounce, want, static_cast<off_t>(offset - before));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno;
    if (static_cast<std::uint64_t>(got) <= before) {
      if (!extent.zeros_past_end) return EIO;
      cursor.zero(left);
      return 0;
    }
    const std::uint64_t part = std::min(static_cast<std::uint64_t>(got) - before, left);
    cursor.copy_in({bounce + before, static_cast<std::size_t>(part)});
    offset += part;
    left -= part;
  }
  return 0;
}

int DiskQueue::Impl::bounce_write(const Extent& extent, BufferCursor cursor) {
  const std::uint64_t mask = image_->file().alignment() - 1;
  // The guest was told the block size; parts of blocks would need reading first.
  if (((extent.file_offset | extent.bytes) & mask) != 0) return EINVAL;
  std::byte* const bounce = room_.bounce.data();
  std::uint64_t offset = extent.file_offset;
  for (std::uint64_t left = extent.bytes; left != 0;) {
    const std::size_t part = static_cast<std::size_t>(std::min<std::uint64_t>(left, kBounceBytes));
    BufferCursor(cursor).copy_out({bounce, part});
    const ssize_t put = ::pwrite(extent.fd, bounce, part, static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    if (put == 0) return EIO;
    cursor.skip(static_cast<std::uint64_t>(put));
    offset += static_cast<std::uint64_t>(put);
    left -= static_cast<std::uint64_t>(put);
  }
  return 0;
}

int DiskQueue::Impl::read_slow(std::uint64_t offset, std::uint64_t bytes, BufferCursor cursor) {
  while (bytes != 0) {
    const std::span<std::byte> part = room_.bounce.bytes().first(
        static_cast<std::size_t>(std::min<std::uint64_t>(bytes, kBounceBytes)));
    const auto read = image_->read_slow(offset, part);
    if (!read) return read.error().code();
    cursor.copy_in(part);
    offset += part.size();
    bytes -= part.size();
  }
  return 0;
}

}  // namespace vmm::block
