// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/unix_socket.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::vfio_user {

/// Serves clients on an event loop: several at the same time, each with a device of its own, or one
/// after another with the same device. A client that does not answer its device's reaching for
/// memory holds the others up for as long as the session's patience.
///
/// Threads: the loop's.
class Server {
 public:
  /// What a server needs.
  struct Options {
    /// The device of a new client. An error, or nullptr, sends the client away. To serve one device
    /// to one client after another, give the same each time and leave `max_clients` at 1.
    std::function<Result<std::shared_ptr<Device>>()> make_device;
    std::size_t max_clients = 1;          ///< at the same time; others wait
    ServerSession::Options session = {};  ///< of each client
    /// Is told when a client has gone, and with which error if it was not the client's wish.
    std::function<void(const std::optional<Error>& error)> on_end = nullptr;
  };

  /// The loop outlives the server.
  Server(event_manager::EventLoop& loop, Options options)
      : loop_(loop), options_(std::move(options)) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Takes clients that connect, as long as the server lives. Errors: those of EventLoop::add().
  Result<void> listen(sys_util::UnixListener listener);
  /// Serves this one. Errors: EBUSY beyond max_clients; those of make_device, ServerSession and
  /// EventLoop::add().
  Result<void> serve(UniqueFd socket);
  [[nodiscard]] std::size_t clients() const { return clients_.size(); }  ///< that are served now

 private:
  struct Client {
    std::shared_ptr<Device> device;  // outlives the session
    std::unique_ptr<ServerSession> session;
    event_manager::Registration watch;
  };

  void accept();
  void handle(const std::shared_ptr<Client>& client);
  void end(const std::shared_ptr<Client>& client, const std::optional<Error>& error);
  void wait_for_clients();

  event_manager::EventLoop& loop_;
  Options options_;
  std::optional<sys_util::UnixListener> listener_;
  event_manager::Registration listener_watch_;
  std::list<std::shared_ptr<Client>> clients_;
};

}  // namespace vmm::vfio_user
