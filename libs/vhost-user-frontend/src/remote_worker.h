// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "remote_core.h"
#include "vmm/event_manager/timer.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/virtio_device/worker.h"

namespace vmm::vhost_user_frontend {

/// Starts the rings in the back end, waits for its end and its requests, and stops the rings.
class RemoteWorker final : public virtio_device::Worker, private vhost_user::BackendRequestHandler {
 public:
  RemoteWorker(std::shared_ptr<RemoteDevice::Core> core, virtio_device::Activation activation);
  ~RemoteWorker() override;

  Result<void> start(event_manager::EventLoop& loop) override;
  void move_interrupts() override;

 private:
  using Clock = std::chrono::steady_clock;
  /// An interrupt that only this process can make.
  struct Relay {
    sys_util::EventFd event;
    event_manager::Registration watch;
  };

  Result<void> make_calls();
  Result<void> make_call(RemoteRing& ring, std::unique_ptr<Relay>& relay);
  Result<void> start_backend();
  Result<void> open_channel();
  void channel_is_ready();
  void tell_config_changed();
  /// Serves one request, if it is there; false when the channel has come to its end.
  bool serve_channel();
  void let_go();
  void lose();
  /// Asks for the next back end from now on.
  void wait_for_next();
  void reconnect();
  /// Where a split ring is that somebody else served: what the driver sees of it.
  void find_positions();
  /// The window that a request of the back end is about.
  Result<SharedWindow*> window_of(const vhost_user::ShmemArea& area);
  Result<UniqueFd> handle(vhost_user::BackendRequest& request) override;

  std::shared_ptr<RemoteDevice::Core> core_;
  const vm_memory::GuestMemory& memory_;
  std::uint64_t features_;
  std::shared_ptr<virtio_device::Interrupt> interrupt_;
  event_manager::EventLoop* loop_ = nullptr;
  std::vector<RemoteRing> rings_;
  std::vector<std::shared_ptr<virtio_queue::QueuePosition>> left_at_;
  std::vector<std::unique_ptr<Relay>> relays_;  // of each ring, where it needs one
  std::optional<vhost_user::FrontendChannel> channel_;
  UniqueFd channel_peer_;        // until the back end has it
  bool config_changed_ = false;  // and the driver was not told
  event_manager::Registration channel_watch_;
  event_manager::Registration backend_watch_;
  std::optional<event_manager::Timer> channel_rest_;
  std::optional<event_manager::Timer> retry_;
  Clock::time_point give_up_{};
};

}  // namespace vmm::vhost_user_frontend
