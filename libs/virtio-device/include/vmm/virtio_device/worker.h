// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_queue/queue.h"

namespace vmm::virtio_device {

/// A queue of an activated device. It serves the driver from when the worker starts.
struct ActiveQueue {
  std::uint16_t index = 0;    ///< of the device's queues, from 0 on
  virtio_queue::Queue queue;  ///< ready to pop from
  int kick_fd = -1;           ///< eventfd, signalled when the driver kicks; outlives the activation
  /// Where to note the queue's position when its worker ends, for who goes on from there.
  std::shared_ptr<virtio_queue::QueuePosition> left_at = nullptr;
};

/// Serves some queues of a device on one event loop: what exists between activation and reset.
///
///   made by VirtioDevice::activate() -> start() -> ... -> destroyed
///
/// start(), drain(), move_interrupts(), stop_queue(), start_queue() and the destructor run on the
/// loop's thread; the constructor does not. When the destructor returns, nothing that the worker
/// started touches guest memory or the driver any more: requests in flight were drained or
/// cancelled.
class Worker {
 public:
  virtual ~Worker() = default;
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Registers what it waits for. Once. Errors: those of epoll; the worker is destroyed then.
  virtual Result<void> start(event_manager::EventLoop& loop) = 0;
  /// Before the destructor, where the driver's queues go on elsewhere or later: answers all
  /// requests in flight, without cancelling any, and gives back to the driver what it popped for
  /// later. It may wait for the host. Nothing is begun any more.
  virtual void drain() {}
  /// Interrupt::used_buffers_fd() may say something else from now on, of each queue: for workers
  /// that have handed out what it said before.
  virtual void move_interrupts() {}
  /// VIRTIO_F_RING_RESET, for devices that offer it: ends one queue as the destructor would end
  /// all. False when it is not this worker's.
  [[nodiscard]] virtual bool stop_queue(std::uint16_t index);
  /// Serves a queue again that was stopped. Errors: those of start(); ENOENT when it is not this
  /// worker's, and `queue` is untouched.
  virtual Result<void> start_queue(ActiveQueue& queue);

 protected:
  Worker() = default;
};

using WorkerList = std::vector<std::unique_ptr<Worker>>;  ///< of one device

/// Where workers run; the VMM decides how many threads there are.
///
/// Threads: one caller at a time, never one of the loops' threads (InlineWorkers excepted).
class Workers {
 public:
  virtual ~Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// Starts all or, with an error, none. Precondition: none are running.
  virtual Result<void> start(WorkerList workers) = 0;
  /// Destroys all; returns when they are gone.
  virtual void stop() = 0;
  /// Drains all, to be stopped then; see Worker::drain().
  virtual void drain() = 0;
  /// Tells all; see Worker::move_interrupts().
  virtual void move_interrupts() = 0;
  /// VIRTIO_F_RING_RESET: asks the workers in turn, until one stops this queue.
  virtual void stop_queue(std::uint16_t index) = 0;
  /// Gives a stopped queue to the worker that serves it. Errors: ENOENT when none does; those of
  /// Worker::start_queue().
  virtual Result<void> start_queue(ActiveQueue queue) = 0;

 protected:
  Workers() = default;
};

/// Runs workers on event loops that other threads run: the first worker on the first loop, and so
/// on, round and round. The loops must run as long as this object lives.
class LoopWorkers final : public Workers {
 public:
  /// Precondition: `loops` is not empty; they outlive this object.
  explicit LoopWorkers(std::vector<event_manager::EventLoop*> loops);
  ~LoopWorkers() override { stop(); }

  Result<void> start(WorkerList workers) override;
  void stop() override;
  void drain() override;
  void move_interrupts() override;
  void stop_queue(std::uint16_t index) override;
  Result<void> start_queue(ActiveQueue queue) override;

 private:
  [[nodiscard]] event_manager::EventLoop& loop(std::size_t worker) const {
    return *loops_[worker % loops_.size()];
  }

  std::vector<event_manager::EventLoop*> loops_;
  WorkerList workers_;
};

/// Runs workers on a loop of the caller's own thread: daemons with one thread, tests, fuzzers.
class InlineWorkers final : public Workers {
 public:
  /// `loop` outlives this object.
  explicit InlineWorkers(event_manager::EventLoop& loop) : loop_(loop) {}

  Result<void> start(WorkerList workers) override;
  void stop() override { workers_.clear(); }
  void drain() override;
  void move_interrupts() override;
  void stop_queue(std::uint16_t index) override;
  Result<void> start_queue(ActiveQueue queue) override;

 private:
  event_manager::EventLoop& loop_;
  WorkerList workers_;
};

}  // namespace vmm::virtio_device
