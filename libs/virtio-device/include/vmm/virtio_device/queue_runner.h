// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/turn.h"
#include "vmm/virtio_device/interrupt.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_queue/queue.h"

namespace vmm::virtio_device {

/// A queue on an event loop: waits for kicks, serves with a budget, tells the driver.
///
///   QueueRunner requests(std::move(queue), interrupt);
///   VMM_TRY_DO(requests.start(loop, [&] {
///     requests.serve(chain, [&](Chain& c) -> std::optional<std::uint32_t> { return answer(c); });
///   }));
///
/// Requests that end later are given back by complete(); flush() shows all of them to the driver at
/// once. A broken ring sets DEVICE_NEEDS_RESET and is not looked at again.
///
/// Threads: the loop's. It must not move once started.
class QueueRunner {
 public:
  /// Entries of the ring that one kick may have served before others get their turn.
  static constexpr std::uint32_t kBudget = 256;

  /// `interrupt` is not nullptr. What stands behind queue.kick_fd outlives the runner.
  QueueRunner(ActiveQueue queue, std::shared_ptr<Interrupt> interrupt)
      : queue_(std::move(queue.queue)),
        interrupt_(std::move(interrupt)),
        left_at_(std::move(queue.left_at)),
        kick_fd_(queue.kick_fd),
        index_(queue.index) {}
  QueueRunner(const QueueRunner&) = delete;
  QueueRunner& operator=(const QueueRunner&) = delete;
  /// Notes where the queue was, if somebody wants to know.
  ~QueueRunner() {
    if (left_at_ != nullptr) *left_at_ = queue_.position();
  }

  /// Calls `on_kick` in the loop for each kick, and once at the start, as buffers may be there
  /// already. Errors: those of EventLoop::add().
  Result<void> start(event_manager::EventLoop& loop, std::function<void()> on_kick);
  /// Ends what start() began; requests may still be completed.
  void stop() { kick_.reset(); }
  /// Calls `on_kick` once more, in the next round of the loop.
  void kick_again() const;

  /// Queue::process() with the runner's budget, but for no longer than a turn, then the
  /// notification. What is left over comes with the next round.
  template <class Handle>
  void serve(virtio_queue::Chain& chain, Handle&& handle) {
    if (broken_) return;
    const event_manager::Turn turn;
    const virtio_queue::Served served = queue_.process(chain, kBudget, std::forward<Handle>(handle),
                                                       [&turn] { return turn.over(); });
    if (served.notify) interrupt_->used_buffers(index_);
    if (served.broken) return break_down();
    if (served.more) kick_again();
  }
  /// Pops one chain, for devices that take buffers only as they have something to put in. False
  /// when there is none. Malformed ones are passed over, as many as the queue is long.
  [[nodiscard]] bool pop(virtio_queue::Chain& chain);
  /// pop(), but where there is nothing the driver is asked for kicks, and what came meanwhile is
  /// popped. False: there is nothing, and a kick will tell when there is.
  [[nodiscard]] bool pop_or_listen(virtio_queue::Chain& chain);
  /// How many malformed chains pop() has passed over: as each went back to the driver, what was
  /// popped before one of them cannot be undone any more.
  [[nodiscard]] std::uint64_t passed_over() const { return passed_over_; }
  /// Gives a buffer back; the driver sees it after flush().
  void complete(std::uint16_t head, std::uint32_t written) { (void)queue_.add_used(head, written); }
  /// Shows the driver what was given back, with one interrupt if it wants one.
  void flush() {
    queue_.publish();
    if (queue_.needs_notification()) interrupt_->used_buffers(index_);
  }

  /// For what the runner does not do itself.
  [[nodiscard]] virtio_queue::Queue& queue() { return queue_; }
  [[nodiscard]] std::uint16_t index() const { return index_; }  ///< of the device's queues
  /// The way to the driver; as long as the runner.
  [[nodiscard]] Interrupt& interrupt() const { return *interrupt_; }
  /// Whether the driver broke the ring; nothing is served any more.
  [[nodiscard]] bool broken() const { return broken_; }

 private:
  void break_down();

  virtio_queue::Queue queue_;
  std::shared_ptr<Interrupt> interrupt_;
  std::shared_ptr<virtio_queue::QueuePosition> left_at_;
  int kick_fd_;
  std::uint16_t index_;
  bool broken_ = false;
  std::uint64_t passed_over_ = 0;
  event_manager::Registration kick_;
};

}  // namespace vmm::virtio_device
