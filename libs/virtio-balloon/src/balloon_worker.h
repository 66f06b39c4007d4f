// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "given_pages.h"
#include "page_list.h"
#include "shared.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/vm_memory/snapshot_reader.h"

namespace vmm::virtio_balloon {

/// Serves all queues of the device.
class BalloonWorker final : public virtio_device::Worker {
 public:
  BalloonWorker(std::shared_ptr<Balloon::Shared> shared, std::shared_ptr<Reclaim> reclaim,
                virtio_device::Activation activation);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  using Runner = std::optional<virtio_device::QueueRunner>;
  /// Free pages that one request may report in so many pieces; Linux reports 32.
  static constexpr std::size_t kMaxPieces = 256;

  Runner* runner_of(std::size_t function);
  Result<void> start_statistics(event_manager::EventLoop& loop);
  void inflate(const virtio_queue::Chain& chain);
  void deflate(const virtio_queue::Chain& chain);
  void report(const virtio_queue::Chain& chain);
  void report(const virtio_queue::IoVec& piece);
  void take_statistics();
  void answer_request();

  std::shared_ptr<Balloon::Shared> shared_;
  std::shared_ptr<Reclaim> reclaim_;
  vm_memory::SnapshotReader memory_;
  bool may_poison_;  // free pages may hold something else than zeros
  GivenPages given_;
  PageList pages_;
  virtio_queue::InlineChain<kMaxPieces> chain_;
  Runner inflate_;
  Runner deflate_;
  Runner statistics_;
  Runner reporting_;
  std::optional<std::uint16_t> statistics_buffer_;  // kept until statistics are wanted
  bool statistics_wanted_ = false;
  event_manager::Registration request_watch_;
};

}  // namespace vmm::virtio_balloon
