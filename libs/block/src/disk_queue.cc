// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/block/disk_queue.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "disk_queue_impl.h"
#include "vmm/base/assert.h"

namespace vmm::block {
namespace {

/// Of one request, against a kernel that never does it.
constexpr std::uint32_t kMaxRetries = 1000;

Result<sys_util::Mapping> private_memory(std::size_t bytes) {
  return sys_util::Mapping::create(bytes, {.protection = PROT_READ | PROT_WRITE,
                                           .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE});
}

}  // namespace

DiskQueue::Impl::Impl(std::shared_ptr<Image> image, std::unique_ptr<Engine> engine,
                      const Options& options, Room room)
    : image_(std::move(image)),
      engine_(std::move(engine)),
      list_room_(list_room(options.max_buffers)),
      room_(std::move(room)),
      slots_(options.depth),
      ended_(options.depth) {
  free_.reserve(options.depth);
  for (std::uint32_t i = options.depth; i != 0; --i) free_.push_back(i - 1);
}

std::span<IoVec> DiskQueue::Impl::list_of(const Slot& slot) const {
  auto* const lists = reinterpret_cast<IoVec*>(room_.lists.data());
  return {lists + index_of(slot) * list_room_, list_room_};
}

void DiskQueue::Impl::submit(const DiskRequest& request) {
  VMM_ASSERT_ALWAYS(!free_.empty() && request.buffers.size() <= list_room_ - 2 * kParts);
  Slot& slot = slots_[free_.back()];
  free_.pop_back();
  ++outstanding_;
  ++active_;
  slot.request = request;
  slot.error = 0;
  slot.pending = 0;
  slot.retries = 0;
  slot.done = 0;
  slot.good = 0;
  slot.step_bytes = 0;
  slot.cursor = BufferCursor(request.buffers);
  switch (request.kind) {
    case DiskRequest::Kind::kRead:
    case DiskRequest::Kind::kWrite:
      slot.step = Step::kMove;
      break;
    case DiskRequest::Kind::kDiscard:
    case DiskRequest::Kind::kWriteZeroes:
      slot.step = Step::kRange;
      break;
    case DiskRequest::Kind::kFlush:
      slot.step = Step::kSync;
      break;
  }
  advance(slot);
}

void DiskQueue::Impl::kick() { engine_->kick(); }

/// Does what can be done without waiting for an operation.
void DiskQueue::Impl::advance(Slot& slot) {
  while (slot.pending == 0) {
    if (stopping_ && slot.error == 0 && slot.step != Step::kEnd) slot.error = ECANCELED;
    if (slot.error != 0 || slot.step == Step::kEnd) return end(slot);
    switch (slot.step) {
      case Step::kMove:
        start_move(slot);
        if (slot.pending == 0) end_move(slot);
        break;
      case Step::kRange:
        slot.step = slot.request.durable ? Step::kSync : Step::kEnd;
        start_range(slot);
        break;
      case Step::kSync:
        slot.step = Step::kEnd;
        start_sync(slot);
        break;
      case Step::kEnd:
        break;
    }
  }
}

void DiskQueue::Impl::end(Slot& slot) {
  const DiskRequest& request = slot.request;
  const bool writes =
      request.kind == DiskRequest::Kind::kWrite || request.kind == DiskRequest::Kind::kWriteZeroes;
  if (writes && request.range.offset + request.range.bytes > image_->size_bytes()) [[unlikely]] {
    image_->trim();
  }
  ended_[ended_at(ended_count_)] = {
      .tag = slot.request.tag, .error = slot.error, .bytes = slot.done};
  ++ended_count_;
  --active_;
  free_.push_back(static_cast<std::uint32_t>(index_of(slot)));
}

/// The first error is the one that is told; the least good part counts.
void DiskQueue::Impl::fail_step(Slot& slot, int error, std::uint64_t good) {
  if (slot.error == 0) slot.error = error;
  slot.good = std::min(slot.good, good);
}

void DiskQueue::Impl::start_part(Slot& slot, std::size_t index) {
  Part& part = slot.parts[index];
  part.operation.tag = static_cast<std::uint32_t>(index_of(slot) * kParts + index);
  ++slot.pending;
  engine_->submit(part.operation);
}

void DiskQueue::Impl::start_range(Slot& slot) {
  const DiskRequest& request = slot.request;
  const bool zeroes = request.kind == DiskRequest::Kind::kWriteZeroes;
  const auto work = zeroes ? image_->write_zeroes(request.range, request.may_unmap)
                           : image_->discard(request.range);
  if (!work) return fail_step(slot, work.error().code(), 0);
  if (!*work) return;
  const RangeWork& left = **work;
  slot.parts[0] = {.operation = {.kind = left.deallocate ? Operation::Kind::kPunchHole
                                                         : Operation::Kind::kZeroRange,
                                 .fd = image_->file().fd(),
                                 .offset = left.range.offset,
                                 .bytes = left.range.bytes}};
  start_part(slot, 0);
}

void DiskQueue::Impl::start_sync(Slot& slot) {
  if (image_->file().sync_failed()) return fail_step(slot, EIO, slot.good);
  if (const auto written = image_->flush_metadata(); !written) {
    return fail_step(slot, written.error().code(), slot.good);
  }
  slot.parts[0] = {.operation = {.kind = Operation::Kind::kSync, .fd = image_->file().fd()}};
  start_part(slot, 0);
}

void DiskQueue::Impl::complete_sync(Slot& slot, std::int32_t result) {
  if (result >= 0) return;
  const bool was_done = result != -ECANCELED && result != -EAGAIN && result != -EINTR;
  if (was_done) image_->file().note_failed_sync();
  fail_step(slot, -result, slot.good);
}

void DiskQueue::Impl::complete(const Completion& completion) {
  Slot& slot = slots_[completion.tag / kParts];
  Part& part = slot.parts[completion.tag % kParts];
  --slot.pending;
  if ((completion.result == -EAGAIN || completion.result == -EINTR) && !stopping_ &&
      ++slot.retries < kMaxRetries) {
    return start_part(slot, completion.tag % kParts);
  }
  switch (part.operation.kind) {
    case Operation::Kind::kRead:
    case Operation::Kind::kWrite:
      complete_move(slot, part, completion.result);
      if (slot.pending == 0) end_move(slot);
      break;
    case Operation::Kind::kPunchHole:
    case Operation::Kind::kZeroRange:
      complete_range(slot, part, completion.result);
      break;
    case Operation::Kind::kSync:
      complete_sync(slot, completion.result);
      break;
  }
  advance(slot);
}

std::size_t DiskQueue::Impl::reap(std::span<EndedRequest> out) {
  std::size_t count = 0;
  for (;;) {
    for (; ended_count_ != 0 && count < out.size(); --ended_count_, --outstanding_) {
      out[count++] = ended_[ended_first_];
      ended_first_ = ended_at(1);
    }
    if (count == out.size()) return count;
    const std::size_t completed = engine_->reap(completions_);
    if (completed == 0) return count;
    for (std::size_t i = 0; i < completed; ++i) complete(completions_[i]);
    engine_->kick();  // further parts
  }
}

void DiskQueue::Impl::drain() {
  stopping_ = true;
  engine_->cancel();
  while (active_ != 0) {
    engine_->wait();
    const std::size_t completed = engine_->reap(completions_);
    for (std::size_t i = 0; i < completed; ++i) complete(completions_[i]);
  }
  stopping_ = false;
}

Result<std::unique_ptr<DiskQueue>> DiskQueue::create(std::shared_ptr<Image> image,
                                                     const Options& options) {
  if (options.depth == 0 || options.depth > kMaxDepth) {
    return fail(Error::os(EINVAL, "the depth of a disk queue"));
  }
  std::vector<int> files = {image->file().fd()};
  VMM_TRY(auto engine,
          Engine::create({.kind = options.engine,
                          .depth = options.depth * static_cast<std::uint32_t>(Impl::kParts),
                          .files = files,
                          .pinned_memory = options.pinned_memory}));
  Impl::Room room;
  VMM_TRY(room.lists,
          private_memory(options.depth * Impl::list_room(options.max_buffers) * sizeof(IoVec)));
  VMM_TRY(room.bounce, private_memory(Impl::kBounceBytes));
  return std::unique_ptr<DiskQueue>(new DiskQueue(
      std::make_unique<Impl>(std::move(image), std::move(engine), options, std::move(room))));
}

DiskQueue::DiskQueue(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DiskQueue::~DiskQueue() { drain(); }

bool DiskQueue::is_full() const { return impl_->is_full(); }
void DiskQueue::submit(const DiskRequest& request) { impl_->submit(request); }
void DiskQueue::kick() { impl_->kick(); }
std::size_t DiskQueue::reap(std::span<EndedRequest> out) { return impl_->reap(out); }
int DiskQueue::poll_fd() const { return impl_->engine().poll_fd(); }
void DiskQueue::drain() { impl_->drain(); }
Image& DiskQueue::image() const { return impl_->image(); }
EngineKind DiskQueue::engine_kind() const { return impl_->engine().kind(); }
bool DiskQueue::has_pinned_memory() const { return impl_->engine().has_pinned_memory(); }

}  // namespace vmm::block
