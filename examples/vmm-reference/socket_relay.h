// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/unix_socket.h"

namespace vmm::reference {

/// Carries bytes between a console and the client of a listening socket: one client at a time; who
/// comes meanwhile is sent away. What was said while nobody listened is kept for the next one, the
/// latest kKept bytes of it; a client that does not read misses what is older than that. What a
/// client typed before it left is told to the console, before what the next one types; only that of
/// one who leaves meanwhile is lost.
///
/// Belongs to the loop's thread.
class SocketRelay {
 public:
  static constexpr std::size_t kKept = 256 << 10;

  /// `console` is the other end of the console's stream socket. Both are non-blocking. Borrows
  /// `listener` and `loop`.
  static Result<std::unique_ptr<SocketRelay>> create(UniqueFd console,
                                                     const sys_util::UnixListener& listener,
                                                     event_manager::EventLoop& loop);
  SocketRelay(const SocketRelay&) = delete;
  SocketRelay& operator=(const SocketRelay&) = delete;

 private:
  SocketRelay(UniqueFd console, const sys_util::UnixListener& listener,
              event_manager::EventLoop& loop)
      : console_(std::move(console)), listener_(listener), loop_(loop) {}

  void accept();
  void drop_client();
  void console_is_ready(event_manager::EventSet ready);
  void client_is_ready(event_manager::EventSet ready);
  void read_console();
  void read_client();
  void read_leaving();
  void tell_client();
  void tell_console();
  /// Waits for what can be done next.
  void watch();

  UniqueFd console_;
  const sys_util::UnixListener& listener_;
  event_manager::EventLoop& loop_;
  UniqueFd client_;
  UniqueFd leaving_;          // a client that has gone, and typed something that is not read yet
  bool typing_over_ = false;  // the client only listens from now on
  std::string said_;          // by the console, for the client
  std::string typed_;         // by the client, for the console; not read on while there is some
  event_manager::Registration listener_watch_;
  event_manager::Registration console_watch_;
  event_manager::Registration client_watch_;
};

}  // namespace vmm::reference
