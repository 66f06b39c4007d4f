// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>

#include "api_connection.h"
#include "http_message.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/timer.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::reference {

/// Serves HTTP/1.1 on a Unix socket, on the loop of its owner: every request is one call of
/// `answer`. Clients are bounded in number, in what they may send and in the time they may take;
/// when one more comes, the one that has been silent longest has to go, and one that waits for an
/// answer only if all do.
///
/// Belongs to the loop's thread.
class ApiServer {
 public:
  static constexpr std::size_t kMaxClients = 16;
  /// How long nobody is accepted when that has failed and no client could make room.
  static constexpr std::chrono::milliseconds kRest{100};

  struct Options {
    /// See ApiConnection::Owner.
    std::function<void(HttpRequest, ApiConnection::Reply)> answer;
    /// See ApiConnection::Owner.
    std::chrono::milliseconds patience = std::chrono::seconds(30);
  };

  /// `listener` and `loop` outlive the server.
  static Result<std::unique_ptr<ApiServer>> create(const sys_util::UnixListener& listener,
                                                   event_manager::EventLoop& loop, Options options);
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;
  ~ApiServer();

 private:
  ApiServer(const sys_util::UnixListener& listener, event_manager::EventLoop& loop, Options options)
      : listener_(listener),
        loop_(loop),
        options_(std::move(options)),
        self_(std::make_shared<ApiServer*>(this)) {}

  void accept();
  void rest();
  void add(UniqueFd fd);
  void make_room();
  /// Takes away those that are over.
  void clean_up();

  struct Client {
    std::unique_ptr<ApiConnection> connection;
    bool over = false;
  };

  const sys_util::UnixListener& listener_;
  event_manager::EventLoop& loop_;
  Options options_;
  std::shared_ptr<ApiServer*> self_;  // what a posted function finds of us: null once we are gone
  event_manager::Registration registration_;
  std::optional<event_manager::Timer> resting_;  // until clients are accepted again
  std::list<Client> clients_;
};

}  // namespace vmm::reference
