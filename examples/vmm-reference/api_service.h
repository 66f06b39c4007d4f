// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "api_routes.h"
#include "api_server.h"
#include "api_socket.h"
#include "failure.h"
#include "opener.h"
#include "path_or_fd.h"
#include "vm_control.h"
#include "vmm/event_manager/event_loop.h"

namespace vmm::reference {

/// The API of a VMM: its socket, its clients, and whose turn it is.
///
/// Clients are served on a loop of their own. The control loop runs it, and so does the control
/// thread while it waits for the opener, which a boot may keep busy for a minute. What a client
/// asks of the VM is carried out by the control loop, one call after another; what needs no turn
/// (ApiRoutes::has_turn()) is answered meanwhile.
///
/// Belongs to the control loop's thread.
class ApiService {
 public:
  /// How many requests may wait for their turn, those of clients that have gone among them.
  static constexpr std::size_t kMaxWaiting = 2 * ApiServer::kMaxClients;

  /// What it borrows.
  struct Host {
    event_manager::EventLoop& loop;  ///< the control loop
    VmControl& control;
  };

  /// Clients may connect from here on. Failures: those of ApiSocket and of epoll.
  static Outcome<std::unique_ptr<ApiService>> open(const PathOrFd& place, const Host& host,
                                                   const std::string& version);
  ApiService(const ApiService&) = delete;
  ApiService& operator=(const ApiService&) = delete;
  /// Takes the socket away.
  ~ApiService();

 private:
  ApiService(ApiSocket socket, event_manager::EventLoop clients_loop, const Host& host,
             const std::string& version);
  Outcome<void> start();
  void take(HttpRequest request, ApiConnection::Reply reply);
  void carry_out(HttpRequest request, const ApiConnection::Reply& reply);

  Host host_;
  std::optional<ApiSocket> socket_;
  event_manager::EventLoop clients_loop_;
  ApiRoutes routes_;
  std::shared_ptr<ApiService*> self_;  // what a posted function finds of us: null once we are gone
  Meanwhile meanwhile_;
  std::size_t waiting_ = 0;
  std::unique_ptr<ApiServer> server_;
  event_manager::Registration registration_;
};

}  // namespace vmm::reference
