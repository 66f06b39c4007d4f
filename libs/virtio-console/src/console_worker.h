// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <optional>

#include "input.h"
#include "vmm/virtio_console/console.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_console {

/// Serves both queues of port 0.
class ConsoleWorker final : public virtio_device::Worker {
 public:
  ConsoleWorker(ConsoleOutput& output, std::shared_ptr<Console::Input> input,
                virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;
  /// What the host's side had no room for is lost.
  void drain() override;

 private:
  using Chain = virtio_queue::InlineChain<16>;

  void receive();
  void transmit();
  /// False: the output is full, and chain_ not written to its end.
  bool write_chain();
  void stop_for_room();

  ConsoleOutput& output_;
  std::shared_ptr<Console::Input> input_;
  std::optional<virtio_device::QueueRunner> receive_;
  std::optional<virtio_device::QueueRunner> transmit_;
  Chain receive_chain_;
  Chain chain_;
  std::optional<virtio_queue::Reader> rest_;  // of chain_, which waits for room
  event_manager::EventLoop* loop_ = nullptr;
  event_manager::Registration input_watch_;
  event_manager::Registration room_watch_;
};

}  // namespace vmm::virtio_console
