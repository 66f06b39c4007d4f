// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/virtio_vsock/limits.h"

namespace vmm::virtio_vsock {

/// Programs of the host that have connected and not said yet to which port of the guest they want.
/// Whoever is slow or speaks nonsense is closed; when there are too many, further ones wait in the
/// backlog of the listening socket.
///
/// Threads: the loop's.
class HostClients {
 public:
  using Clock = std::chrono::steady_clock;
  /// A client that wants to `port`. Its line has been read, nothing after it.
  using OnGreeting = std::function<void(UniqueFd socket, std::uint32_t port)>;

  /// `listener` is a non-blocking listening socket, borrowed; `limits` too.
  HostClients(int listener, const Limits& limits, OnGreeting on_greeting)
      : listener_(listener), limits_(limits), on_greeting_(std::move(on_greeting)) {}
  HostClients(const HostClients&) = delete;
  HostClients& operator=(const HostClients&) = delete;

  /// Begins to accept clients. Errors: those of EventLoop::add().
  Result<void> start(event_manager::EventLoop& loop);
  /// Called when there is a deadline: expire() is to be called from time to time.
  void set_on_deadline(std::function<void()> on_deadline) { on_deadline_ = std::move(on_deadline); }
  [[nodiscard]] bool has_deadlines() const { return retry_ || !clients_.empty(); }

  /// Gives all of them so much more time.
  void postpone(Clock::duration by);
  /// Closes those whose time is up, and accepts again if that was not possible.
  void expire(Clock::time_point now);
  /// Closes all.
  void clear();

 private:
  struct Client {
    UniqueFd socket;
    Clock::time_point deadline;
    event_manager::Registration watch;  // of the socket: goes first
  };

  void accept_some();
  void add(UniqueFd socket);
  void pause(bool paused);
  void listen_to(Client& client, event_manager::EventSet ready);
  void remove(Client& client);

  int listener_;
  const Limits& limits_;
  OnGreeting on_greeting_;
  std::function<void()> on_deadline_;
  event_manager::EventLoop* loop_ = nullptr;
  event_manager::Registration watch_;
  bool paused_ = false;
  std::optional<Clock::time_point> retry_;  // accept(2) failed for lack of something
  std::vector<std::unique_ptr<Client>> clients_;
};

}  // namespace vmm::virtio_vsock
