// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "blk_worker.h"

#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "vmm/base/log.h"
#include "vmm/event_manager/turn.h"

namespace vmm::virtio_blk {
namespace {

using block::DiskRequest;
using virtio_device::QueueRunner;
using virtio_queue::Pop;

constexpr std::size_t kReapedAtOnce = 32;
/// Pieces more than a chain has descriptors, for buffers that cross memory regions.
constexpr std::uint32_t kSparePieces = 8;

std::uint32_t max_pieces(const BlkOptions& options) {
  return std::max(max_data_pieces(options) + 2, std::uint32_t{16}) + kSparePieces;
}

std::uint32_t depth(const BlkOptions& options) {
  return std::min(std::uint32_t{options.queue_size}, block::DiskQueue::kMaxDepth);
}

bool has_ranges(const Request& request) {
  return request.type == RequestType::kDiscard || request.type == RequestType::kWriteZeroes;
}

/// Precondition: has_ranges().
std::uint32_t segment_count(const Request& request) {
  return request.data_bytes / sizeof(RangeSegment);
}

}  // namespace

BlkWorker::BlkWorker(Blk& device, std::uint16_t index, const virtio_device::Activation& activation)
    : device_(device),
      counters_(device.queue_counters(index)),
      index_(index),
      memory_(activation.memory),
      interrupt_(activation.interrupt) {
  rules_.features = activation.features;
  rules_.read_only = device.read_only();
}

Result<void> BlkWorker::start(event_manager::EventLoop& loop) {
  loop_ = &loop;
  VMM_TRY_DO(make_slots());
  VMM_TRY_DO(make_disk());
  VMM_TRY(gate_, rate_limiter::RateGate::create(device_.options().limiter));
  if (disk_->poll_fd() >= 0) {
    VMM_TRY(disk_watch_, loop.add(disk_->poll_fd(), event_manager::kReadable,
                                  [this](event_manager::EventSet) { disk_is_ready(); }));
  }
  if (gate_->timer_fd() >= 0) {
    VMM_TRY(gate_watch_, loop.add(gate_->timer_fd(), event_manager::kReadable,
                                  [this](event_manager::EventSet) { gate_opens(); }));
  }
  if (runner_ == nullptr) return {};
  return runner_->start(loop, [this] { serve(); });
}

Result<void> BlkWorker::make_slots() {
  const std::uint32_t count = depth(device_.options());
  const std::size_t pieces = max_pieces(device_.options());
  VMM_TRY(lists_,
          sys_util::Mapping::create(2 * count * pieces * sizeof(IoVec),
                                    {.protection = PROT_READ | PROT_WRITE,
                                     .flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE}));
  auto* const first = reinterpret_cast<IoVec*>(lists_.data());
  for (std::uint32_t i = 0; i < count; ++i) {
    IoVec* const at = first + 2 * pieces * i;
    slots_.push_back(std::make_unique<Slot>(std::span(at, pieces), std::span(at + pieces, pieces)));
    free_.push_back(count - 1 - i);
  }
  ranges_left_.reserve(count);
  return {};
}

// The kernel goes by addresses of this process, and goes on using the pages that were there when
// they were registered. So memory stays mapped as long as that, and what can be taken from behind
// its addresses, as files can, is not registered.
std::vector<IoVec> BlkWorker::memory_to_pin() {
  std::vector<IoVec> pinned;
  if (!device_.options().pin_memory) return pinned;
  auto map = memory_.snapshot();
  if (map->translation() != nullptr) map = map->translation()->physical;
  for (const auto& region : map->regions()) {
    if (region->backing() == vm_memory::Backing::kFile) continue;
    pinned.push_back({region->host().data(), region->host().size()});
  }
  pinned_map_ = std::move(map);
  return pinned;
}

Result<void> BlkWorker::make_disk() {
  const std::vector<IoVec> pinned = memory_to_pin();
  VMM_TRY(disk_,
          block::DiskQueue::create(device_.image(), {.engine = device_.options().engine,
                                                     .depth = depth(device_.options()),
                                                     .max_buffers = max_pieces(device_.options()),
                                                     .pinned_memory = pinned}));
  if (!pinned.empty() && !disk_->has_pinned_memory()) {
    VMM_LOG(kWarn, "block device, queue %u: guest memory could not be registered with io_uring",
            static_cast<unsigned>(index_));
  }
  return {};
}

void BlkWorker::drain() {
  if (runner_ == nullptr || disk_ == nullptr) return;
  runner_->stop();
  stalled_ = false;
  for (answer_ended(); free_.size() != slots_.size(); answer_ended()) {
    if (!ranges_left_.empty()) continue;
    pollfd disk{.fd = disk_->poll_fd(), .events = POLLIN, .revents = 0};
    (void)::poll(&disk, 1, -1);
  }
  runner_->flush();
}

bool BlkWorker::stop_queue(std::uint16_t index) {
  if (index != index_ || runner_ == nullptr) return false;
  stop();
  return true;
}

Result<void> BlkWorker::start_queue(virtio_device::ActiveQueue& queue) {
  if (queue.index != index_ || loop_ == nullptr) return Worker::start_queue(queue);
  take(std::move(queue));
  return runner_->start(*loop_, [this] { serve(); });
}

// What the kernel wrote meanwhile is marked in the dirty bitmaps as with any answer; the driver is
// not told any more.
void BlkWorker::stop() {
  if (runner_ == nullptr) return;
  runner_->stop();
  if (disk_ != nullptr) {
    stopping_ = true;
    disk_->drain();
    reap_ended();
    give_up_ranges();
    stopping_ = false;
  }
  runner_.reset();
  stalled_ = false;
}

void BlkWorker::serve() {
  if (runner_ == nullptr || runner_->broken()) return;
  if (gate_->is_shut()) {
    if (ranges_left_.empty()) return;
    answer_ended();  // what has begun goes on
    return runner_->flush();
  }
  virtio_queue::Queue& queue = runner_->queue();
  (void)queue.refresh();  // pop() tells
  queue.disable_notifications();
  rules_.sectors = device_.size_bytes() / kSectorBytes;
  durable_ = !device_.writeback();
  now_ = Clock::now();
  const event_manager::Turn turn;
  std::uint32_t left = QueueRunner::kBudget;
  for (; left != 0; left = turn.over() ? 0 : left - 1) {
    stalled_ = free_.empty();
    if (stalled_) break;
    const std::uint32_t index = free_.back();
    const Pop popped = queue.pop(*slots_[index]);
    if (popped == Pop::kEmpty && !queue.enable_notifications()) break;
    if (popped == Pop::kChain && !begin(index)) break;
    if (popped == Pop::kBroken) {
      (void)runner_->pop(*slots_[index]);  // which asks for a reset
      break;
    }
  }
  disk_->kick();
  answer_ended();
  runner_->flush();
  if (left == 0 || (stalled_ && !free_.empty())) runner_->kick_again();
}

bool BlkWorker::begin(std::uint32_t index) {
  Slot& slot = *slots_[index];
  if (slot.writable_bytes() == 0) {  // nowhere to say that this is wrong
    QueueCounters::increase(counters_.errors, 1);
    runner_->complete(slot.head(), 0);
    return true;
  }
  slot.begun = now_;
  const Result<Request, Status> request = parse_request(slot, rules_);
  if (!request) {
    slot.request = {};
    answer(slot, request.error(), 0);
    return true;
  }
  slot.request = *request;
  if (has_ranges(*request)) {
    if (const auto read = read_segments(slot, *request, rules_, slot.segments); !read) {
      answer(slot, read.error(), 0);
      return true;
    }
  }
  if (!gate_->pass(1, tokens_for(slot))) {
    QueueCounters::increase(counters_.throttled, 1);
    (void)runner_->queue().undo_pop(slot);
    return false;
  }
  if (execute(index)) free_.pop_back();
  return true;
}

// Zeroes are a write of so many bytes, as nobody knows beforehand whether the host has to write
// them. A discard writes none.
std::uint64_t BlkWorker::tokens_for(const Slot& slot) {
  std::uint64_t tokens = slot.request.data_bytes;
  if (slot.request.type != RequestType::kWriteZeroes) return tokens;
  for (std::uint32_t i = 0; i < segment_count(slot.request); ++i) {
    tokens += std::uint64_t{slot.segments[i].sectors.get()} * kSectorBytes;
  }
  return tokens;
}

bool BlkWorker::execute(std::uint32_t index) {
  Slot& slot = *slots_[index];
  switch (slot.request.type) {
    case RequestType::kIn:
    case RequestType::kOut:
      if (slot.request.data_bytes == 0) break;
      submit_transfer(index);
      return true;
    case RequestType::kFlush:
      disk_->submit({.kind = DiskRequest::Kind::kFlush, .tag = index});
      return true;
    case RequestType::kGetId:
      (void)slot.writer().write_exact(device_.id());
      answer(slot, Status::kOk, kIdBytes);
      return false;
    case RequestType::kDiscard:
    case RequestType::kWriteZeroes:
      slot.segment = 0;
      if (!find_segment(slot)) break;
      submit_segment(index);
      return true;
  }
  answer(slot, Status::kOk, 0);
  return false;
}

void BlkWorker::submit_transfer(std::uint32_t index) {
  const Slot& slot = *slots_[index];
  const bool in = slot.request.type == RequestType::kIn;
  disk_->submit(
      {.kind = in ? DiskRequest::Kind::kRead : DiskRequest::Kind::kWrite,
       .durable = durable_ && !in,
       .tag = index,
       .range = {.offset = slot.request.sector * kSectorBytes, .bytes = slot.request.data_bytes},
       .buffers = list_data(slot, slot.request, slot.list)});
}

bool BlkWorker::find_segment(Slot& slot) {
  const std::uint32_t count = segment_count(slot.request);
  while (slot.segment < count && slot.segments[slot.segment].sectors.get() == 0) ++slot.segment;
  return slot.segment != count;
}

void BlkWorker::submit_segment(std::uint32_t index) {
  Slot& slot = *slots_[index];
  const RangeSegment& segment = slot.segments[slot.segment++];
  const bool discard = slot.request.type == RequestType::kDiscard;
  disk_->submit({.kind = discard ? DiskRequest::Kind::kDiscard : DiskRequest::Kind::kWriteZeroes,
                 .durable = durable_,
                 .may_unmap = (segment.flags.get() & kSegmentUnmap) != 0,
                 .tag = index,
                 .range = {.offset = segment.sector.get() * kSectorBytes,
                           .bytes = std::uint64_t{segment.sectors.get()} * kSectorBytes}});
}

void BlkWorker::disk_is_ready() {
  answer_ended();
  if (runner_ == nullptr) return;
  runner_->flush();
  if (stalled_) serve();
}

void BlkWorker::gate_opens() {
  gate_->open();
  serve();
}

// An image may do a range while it is submitted, which takes its time: one after the other, and no
// longer than a turn.
void BlkWorker::answer_ended() {
  const event_manager::Turn turn;
  for (reap_ended(); !ranges_left_.empty(); reap_ended()) {
    if (turn.over()) return runner_->kick_again();
    const std::uint32_t next = ranges_left_.back();
    ranges_left_.pop_back();
    submit_segment(next);
    disk_->kick();
  }
}

void BlkWorker::reap_ended() {
  std::array<block::EndedRequest, kReapedAtOnce> ended;
  for (std::size_t count = disk_->reap(ended); count != 0; count = disk_->reap(ended)) {
    now_ = Clock::now();
    for (std::size_t i = 0; i < count; ++i) end(ended[i]);
  }
}

void BlkWorker::give_up_ranges() {
  for (const std::uint32_t index : ranges_left_) {
    answer(*slots_[index], Status::kIoError, 0);
    free_.push_back(index);
  }
  ranges_left_.clear();
}

void BlkWorker::end(const block::EndedRequest& ended) {
  Slot& slot = *slots_[ended.tag];
  const bool ranges = has_ranges(slot.request);
  if (ranges && ended.error == 0 && !stopping_ && find_segment(slot)) {
    return ranges_left_.push_back(ended.tag);
  }
  const bool done = ended.error == 0 && !(ranges && stopping_);
  const bool in = slot.request.type == RequestType::kIn;
  answer(slot, done ? Status::kOk : Status::kIoError,
         in ? static_cast<std::uint32_t>(ended.bytes) : 0);
  free_.push_back(ended.tag);
}

void BlkWorker::answer(Slot& slot, Status status, std::uint32_t good) {
  virtio_queue::Writer writer = slot.writer();
  const std::uint32_t data = writer.remaining() - 1;
  const bool in = slot.request.type == RequestType::kIn;
  // After an error some of it may have been written.
  const std::uint32_t touched = in ? slot.request.data_bytes : 0;
  (void)writer.commit(touched);
  (void)writer.skip(data - touched);
  (void)writer.write_obj(static_cast<std::uint8_t>(status));
  runner_->complete(slot.head(), good == data ? data + 1 : good);
  count(slot, status);
}

void BlkWorker::count(const Slot& slot, Status status) {
  if (status != Status::kOk) return QueueCounters::increase(counters_.errors, 1);
  switch (slot.request.type) {
    case RequestType::kIn:
      return counters_.reads.count(slot.request.data_bytes, now_ - slot.begun);
    case RequestType::kOut:
      return counters_.writes.count(slot.request.data_bytes, now_ - slot.begun);
    case RequestType::kFlush:
      return QueueCounters::increase(counters_.flushes, 1);
    case RequestType::kGetId:
    case RequestType::kDiscard:
    case RequestType::kWriteZeroes:
      return;
  }
}

}  // namespace vmm::virtio_blk
