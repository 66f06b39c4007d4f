// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "queue_counters.h"
#include "vmm/block/disk_queue.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/virtio_blk/blk.h"
#include "vmm/virtio_blk/request.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_blk {

/// What is told to the driver as seg_max: a request of so many pieces, a header and a status is as
/// long as the queue, which is the longest chain there may be (2.7.5.3.1).
[[nodiscard]] constexpr std::uint32_t max_data_pieces(const BlkOptions& options) {
  constexpr std::uint32_t kMost = 1022;  // with the two a list that preadv(2) takes at once
  if (options.queue_size <= 3) return 1;
  return options.queue_size - 2u < kMost ? options.queue_size - 2u : kMost;
}

/// Serves one queue.
///
/// A request has a slot from when it is popped until it is answered; slots, their lists of pieces
/// and the engine's memory exist before the first one. While all are in use, or the rate limiter is
/// shut, nothing is popped.
class BlkWorker final : public virtio_device::Worker {
 public:
  BlkWorker(Blk& device, std::uint16_t index, const virtio_device::Activation& activation);
  ~BlkWorker() override { stop(); }

  /// Before start(): the queue, if the driver enabled it.
  void take(virtio_device::ActiveQueue queue) {
    runner_ = std::make_unique<virtio_device::QueueRunner>(std::move(queue), interrupt_);
  }
  Result<void> start(event_manager::EventLoop& loop) override;
  void drain() override;
  bool stop_queue(std::uint16_t index) override;
  Result<void> start_queue(virtio_device::ActiveQueue& queue) override;

 private:
  using Clock = std::chrono::steady_clock;

  struct Slot final : virtio_queue::Chain {
    Slot(std::span<IoVec> pieces, std::span<IoVec> list_room) : Chain(pieces), list(list_room) {}

    std::span<IoVec> list;
    Request request;
    Clock::time_point begun;
    std::array<RangeSegment, kMaxSegments> segments;
    std::uint32_t segment = 0;  // the one that is being done
  };

  Result<void> make_slots();
  Result<void> make_disk();
  [[nodiscard]] std::vector<IoVec> memory_to_pin();
  void stop();

  void serve();
  /// Begins a request or answers it. False: it was put back, and the queue has to wait.
  [[nodiscard]] bool begin(std::uint32_t slot);
  /// Bytes that the rate limiter is asked for. Precondition: its ranges were read, if it has any.
  [[nodiscard]] static std::uint64_t tokens_for(const Slot& slot);
  /// Answers a request or submits it to the disk: true.
  [[nodiscard]] bool execute(std::uint32_t slot);
  void submit_transfer(std::uint32_t slot);
  /// Finds the next range that is not empty. False: there is none.
  [[nodiscard]] static bool find_segment(Slot& slot);
  /// Precondition: find_segment().
  void submit_segment(std::uint32_t slot);

  void disk_is_ready();
  void gate_opens();
  void answer_ended();
  void reap_ended();
  void end(const block::EndedRequest& ended);
  /// Of requests with further ranges, which are not done any more.
  void give_up_ranges();
  /// Answers a request: `good` bytes of its data were written, from the first one on.
  void answer(Slot& slot, Status status, std::uint32_t good);
  void count(const Slot& slot, Status status);

  Blk& device_;
  QueueCounters& counters_;
  const std::uint16_t index_;
  const vm_memory::GuestMemory& memory_;
  const std::shared_ptr<virtio_device::Interrupt> interrupt_;
  event_manager::EventLoop* loop_ = nullptr;

  DiskRules rules_;      // as of the batch
  bool durable_ = true;  // as of the batch
  Clock::time_point now_{};
  bool stalled_ = false;   // nothing was popped for want of a slot
  bool stopping_ = false;  // ranges do not go on

  sys_util::Mapping lists_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<std::uint32_t> free_;         // slots; the last one given back is used first
  std::vector<std::uint32_t> ranges_left_;  // slots whose next range waits for its turn
  std::optional<rate_limiter::RateGate> gate_;
  // What uses guest memory goes before what keeps it mapped, and events before their descriptors.
  std::shared_ptr<const vm_memory::RegionMap> pinned_map_;
  std::unique_ptr<virtio_device::QueueRunner> runner_;
  std::unique_ptr<block::DiskQueue> disk_;
  event_manager::Registration disk_watch_;
  event_manager::Registration gate_watch_;
};

}  // namespace vmm::virtio_blk
