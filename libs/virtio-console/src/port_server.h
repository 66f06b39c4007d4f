// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "port_input.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_console {

/// Serves both queues of a port. Threads: the loop's. It must not move once started.
class PortServer {
 public:
  /// `open`: whether input goes to the driver from the start; see set_open().
  PortServer(ConsoleOutput& output, std::shared_ptr<PortInput> input, bool open = true)
      : output_(output), input_(std::move(input)), open_(open) {}

  ///@{
  /// Serves a queue from now on, until it is stopped.
  Result<void> start_receive(event_manager::EventLoop& loop, virtio_device::ActiveQueue queue,
                             std::shared_ptr<virtio_device::Interrupt> interrupt);
  Result<void> start_transmit(event_manager::EventLoop& loop, virtio_device::ActiveQueue queue,
                              std::shared_ptr<virtio_device::Interrupt> interrupt);
  ///@}
  void stop_receive();
  /// What the host's side had no room for is lost, here and in drain().
  void stop_transmit();
  void drain();
  /// Whether somebody of the guest reads. Else input waits.
  void set_open(bool open);

 private:
  using Chain = virtio_queue::ChainBuffer;
  enum class Written { kAll, kFull, kOutOfTurn };

  /// What one kick may have written before others get their turn.
  static constexpr std::uint32_t kTurnBytes = 1 << 20;

  void receive();
  void transmit();
  /// Serves chains until there are none, or it is enough for now: then true.
  bool transmit_some();
  /// Goes on with chain_, and completes it once all of it is written.
  Written write_chain();
  void stop_for_room();

  ConsoleOutput& output_;
  std::shared_ptr<PortInput> input_;
  bool open_;
  std::optional<virtio_device::QueueRunner> receive_;
  std::optional<virtio_device::QueueRunner> transmit_;
  Chain receive_chain_{Console::kQueueSize};
  Chain chain_{Console::kQueueSize};
  std::optional<virtio_queue::Reader> rest_;  // of chain_, which waits for room or the next turn
  bool full_ = false;                         // it is room
  std::uint32_t turn_left_ = 0;               // of kTurnBytes
  event_manager::EventLoop* loop_ = nullptr;
  event_manager::Registration input_watch_;
  event_manager::Registration room_watch_;
};

}  // namespace vmm::virtio_console
