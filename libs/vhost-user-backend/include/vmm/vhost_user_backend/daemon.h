// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/vhost_user_backend/device_backend.h"

namespace vmm::vhost_user_backend {

/// Serves front ends on an event loop, one after another. When one goes, or breaks the protocol,
/// its session ends, and the device waits for the next.
///
/// Threads: the loop's.
class Daemon {
 public:
  /// Is told when a session has ended, and with which error if it was not the front end's wish.
  using EndHandler = std::function<void(const std::optional<Error>& error)>;

  /// Both outlive the daemon; the loop is the backend's control loop.
  Daemon(event_manager::EventLoop& loop, DeviceBackend& backend) : loop_(loop), backend_(backend) {}
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  ~Daemon() { end(std::nullopt); }

  /// Sets who is told from now on, on the loop's thread; also by the destructor, if it ends a
  /// session.
  void on_end(EndHandler handler) { on_end_ = std::move(handler); }

  /// Takes front ends that connect, as long as the daemon lives; while one is served, the others
  /// wait. Errors: those of EventLoop::add().
  Result<void> listen(sys_util::UnixListener listener);
  /// Serves this front end. Precondition: none is served.
  /// Errors: those of Connection::adopt() and EventLoop::add().
  Result<void> serve(UniqueFd socket);
  /// Whether there is a front end now.
  [[nodiscard]] bool serving() const { return session_.has_value(); }

 private:
  void accept();
  void handle_requests();
  void end(const std::optional<Error>& error);
  void wait_for_front_ends(bool wait);

  event_manager::EventLoop& loop_;
  DeviceBackend& backend_;
  EndHandler on_end_;
  std::optional<sys_util::UnixListener> listener_;
  event_manager::Registration listener_watch_;
  std::optional<vhost_user::BackendSession> session_;
  event_manager::Registration session_watch_;
};

}  // namespace vmm::vhost_user_backend
