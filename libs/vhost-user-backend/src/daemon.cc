// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user_backend/daemon.h"

#include <utility>

namespace vmm::vhost_user_backend {
namespace {

using Event = vhost_user::Connection::Event;

/// Requests of one round, before others of the loop have their turn.
constexpr int kRequestsPerRound = 64;

}  // namespace

Result<void> Daemon::listen(sys_util::UnixListener listener) {
  listener_.emplace(std::move(listener));
  VMM_TRY(listener_watch_, loop_.add(listener_->fd(), event_manager::kReadable,
                                     [this](event_manager::EventSet) { accept(); }));
  wait_for_front_ends(!serving());
  return {};
}

void Daemon::wait_for_front_ends(bool wait) {
  if (!listener_watch_) return;
  (void)listener_watch_.modify(wait ? event_manager::kReadable : event_manager::kNoEvents);
}

// What cannot be accepted has gone, or waits for descriptors to be free again.
void Daemon::accept() {
  if (serving()) return;
  auto socket = listener_->accept();
  if (!socket || !*socket) return;
  const Result<void> served = serve(std::move(**socket));
  if (!served) end(served.error());
}

Result<void> Daemon::serve(UniqueFd socket) {
  VMM_TRY(auto connection, vhost_user::Connection::adopt(std::move(socket)));
  session_.emplace(std::move(connection), backend_);
  wait_for_front_ends(false);
  VMM_TRY(session_watch_, loop_.add(session_->fd(), event_manager::kReadable,
                                    [this](event_manager::EventSet) { handle_requests(); }));
  return {};
}

void Daemon::handle_requests() {
  for (int left = kRequestsPerRound; left != 0; --left) {
    const Result<Event> event = session_->serve();
    if (!event) return end(event.error());
    if (*event == Event::kClosed) return end(std::nullopt);
    if (*event == Event::kNothing) return;
  }
}

void Daemon::end(const std::optional<Error>& error) {
  if (!serving()) return;
  session_watch_.reset();
  // The front end may take its memory for its own again when the socket is closed.
  backend_.disconnect();
  session_.reset();
  wait_for_front_ends(true);
  if (on_end_) on_end_(error);
}

}  // namespace vmm::vhost_user_backend
