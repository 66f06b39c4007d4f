// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/server.h"

#include <cerrno>

namespace vmm::vfio_user {
namespace {

constexpr int kKeptOfOneRound = 64;

}  // namespace

Result<void> Server::listen(sys_util::UnixListener listener) {
  listener_.emplace(std::move(listener));
  VMM_TRY(listener_watch_, loop_.add(listener_->fd(), event_manager::kReadable,
                                     [this](event_manager::EventSet) { accept(); }));
  wait_for_clients();
  return {};
}

void Server::wait_for_clients() {
  if (!listener_watch_) return;
  const bool room = clients_.size() < options_.max_clients;
  (void)listener_watch_.modify(room ? event_manager::kReadable : event_manager::kNoEvents);
}

// What cannot be accepted has gone, or waits for descriptors to be free again.
void Server::accept() {
  if (clients_.size() >= options_.max_clients) return;
  auto socket = listener_->accept();
  if (!socket || !*socket) return;
  const auto served = serve(std::move(**socket));
  if (!served && options_.on_end) options_.on_end(served.error());
}

Result<void> Server::serve(UniqueFd socket) {
  if (clients_.size() >= options_.max_clients) {
    return fail(Error::os(EBUSY, "serve a vfio-user client"));
  }
  VMM_TRY(auto device, options_.make_device());
  if (device == nullptr) return fail(Error::os(ENODEV, "serve a vfio-user client"));
  VMM_TRY(auto session, ServerSession::create(std::move(socket), *device, options_.session));
  const auto client = std::make_shared<Client>();
  client->device = std::move(device);
  client->session = std::move(session);
  VMM_TRY(client->watch, loop_.add(client->session->fd(), event_manager::kReadable,
                                   [this, weak = std::weak_ptr(client)](event_manager::EventSet) {
                                     if (const auto one = weak.lock()) handle(one);
                                   }));
  clients_.push_back(client);
  wait_for_clients();
  return {};
}

// One command of a round, so that the others have their turn; and then those that were kept, of
// which the loop does not hear: some of them, and the rest later.
void Server::handle(const std::shared_ptr<Client>& client) {
  for (int left = kKeptOfOneRound; left != 0; --left) {
    const auto event = client->session->serve();
    if (!event) return end(client, event.error());
    if (*event == ServerSession::Event::kClosed) return end(client, std::nullopt);
    if (*event == ServerSession::Event::kNothing || !client->session->has_kept()) return;
  }
  loop_.post([this, weak = std::weak_ptr(client)] {
    if (const auto one = weak.lock()) handle(one);
  });
}

void Server::end(const std::shared_ptr<Client>& client, const std::optional<Error>& error) {
  client->watch.reset();
  client->session.reset();
  clients_.remove(client);
  wait_for_clients();
  if (options_.on_end) options_.on_end(error);
}

}  // namespace vmm::vfio_user
