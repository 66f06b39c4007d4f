// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "api_server.h"

#include <algorithm>
#include <utility>

#include "vmm/base/log.h"

namespace vmm::reference {

Result<std::unique_ptr<ApiServer>> ApiServer::create(const sys_util::UnixListener& listener,
                                                     event_manager::EventLoop& loop,
                                                     Options options) {
  std::unique_ptr<ApiServer> server(new ApiServer(listener, loop, std::move(options)));
  VMM_TRY(server->registration_,
          loop.add(listener.fd(), event_manager::kReadable,
                   [self = server.get()](event_manager::EventSet) { self->accept(); }));
  VMM_TRY(server->resting_,
          event_manager::Timer::create(loop, [self = server.get()](std::uint64_t) {
            (void)self->registration_.modify(event_manager::kReadable).has_value();
          }));
  return server;
}

ApiServer::~ApiServer() { *self_ = nullptr; }

// One a round, so that clients that come in crowds do not keep the others waiting.
void ApiServer::accept() {
  auto fd = listener_.accept();
  if (!fd) {
    VMM_LOG_GUEST(kWarn, "API: %s", to_string(fd.error()).c_str());
    const bool alone = clients_.empty();
    make_room();  // perhaps for want of descriptors
    if (alone) rest();
    return;
  }
  if (*fd) add(*std::move(*fd));
}

// Who waits to be accepted would be reported in every round.
void ApiServer::rest() {
  if (!resting_->arm({.after = kRest})) return;
  (void)registration_.modify(event_manager::kNoEvents).has_value();
}

void ApiServer::add(UniqueFd fd) {
  clean_up();
  if (clients_.size() >= kMaxClients) make_room();
  Client& client = clients_.emplace_back();
  const auto on_end = [self = self_, &client] {
    client.over = true;
    if (*self == nullptr) return;
    (*self)->loop_.post([self] {
      if (*self != nullptr) (*self)->clean_up();
    });
  };
  auto made = ApiConnection::create(
      std::move(fd), loop_,
      {.answer = options_.answer, .on_end = on_end, .patience = options_.patience});
  if (made) {
    client.connection = *std::move(made);
  } else {
    VMM_LOG_GUEST(kWarn, "API: %s", to_string(made.error()).c_str());
    clients_.pop_back();
  }
}

void ApiServer::make_room() {
  const auto oldest = std::ranges::min_element(clients_, {}, [](const Client& client) {
    return std::pair(client.connection->awaits(), client.connection->last_sign());
  });
  if (oldest == clients_.end()) return;
  oldest->connection->end();
  clean_up();
}

void ApiServer::clean_up() {
  std::erase_if(clients_, [](const Client& client) { return client.over; });
}

}  // namespace vmm::reference
