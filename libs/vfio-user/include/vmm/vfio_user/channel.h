// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/payload.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/message_socket.h"
#include "vmm/vfio_user/protocol.h"
#include "vmm/vfio_user/user_error.h"

namespace vmm::vfio_user {

/// A message as it came. What is left of `fds` is closed with it.
struct Message {
  Header header;                       ///< checked for its size and type
  std::span<const std::byte> payload;  ///< borrowed from the channel, until its next receive()
  std::span<UniqueFd> fds;             ///< the same; take what is wanted

  /// Which command it is, or the reply to which; any number.
  [[nodiscard]] Command command() const { return static_cast<Command>(header.command); }
};

/// What goes out behind a header: a structure, data, descriptors. Borrowed.
struct Body {
  std::span<const std::byte> fixed = {};  ///< at most 48 bytes
  std::span<const std::byte> data = {};   ///< behind `fixed`
  std::span<const int> fds = {};          ///< at most kMaxFds
};

/// One socket of a conversation: commands of both sides and their replies, told apart by type and
/// number.
///
/// A side that waits for a reply still gets the other's commands: it answers them meanwhile, or has
/// them kept for later, in order. After an error, but for the peer's refusal of a command, the
/// conversation is over, and every call fails at once.
///
/// Threads: one at a time.
class Channel {
 public:
  using Event = sys_util::MessageSocket::Event;                ///< kNothing, kMessage, kClosed
  using Milliseconds = sys_util::MessageSocket::Milliseconds;  ///< of monotonic time
  using Deadline = std::chrono::steady_clock::time_point;      ///< when a call has to be over
  /// Does what a command of the peer says that came while a reply was waited for; it replies.
  /// Empty: such commands are kept for receive(), at most 64 of them with 4 MiB of data.
  using Server = std::function<Result<void>(Message command)>;

  /// How long sending waits for a peer that does not read.
  static constexpr Milliseconds kSendPatience{10'000};

  /// Takes a connected socket. Errors: those of fcntl(2).
  static Result<Channel> adopt(UniqueFd socket);

  /// Takes the next command of the peer; with kMessage it is message(), until the next call here.
  /// Errors: UserError for what ends the conversation; those of recvmsg(2).
  Result<Event> receive();
  /// receive() until there is a command, or the peer has gone, or the time is over: ETIMEDOUT.
  Result<Event> wait(Milliseconds patience);
  /// Whether commands wait that were kept: the socket is not readable because of them.
  [[nodiscard]] bool has_kept() const { return !kept_.empty(); }
  /// The command that receive() told of, valid until the next call here.
  [[nodiscard]] Message message();

  /// Sends a command and waits for its reply. What was message() before is gone then.
  /// Errors: the errno value with which the peer refused, as Error::os(), EIO if it said none; then
  /// the conversation goes on. ETIMEDOUT; UserError, kDisconnected when the peer has gone; those of
  /// `server`.
  Result<Message> call(Command command, const Body& body, Deadline deadline, const Server& server);
  /// The same with a deadline from now on.
  Result<Message> call(Command command, const Body& body, Milliseconds patience,
                       const Server& server) {
    return call(command, body, std::chrono::steady_clock::now() + patience, server);
  }
  /// Sends a command that the peer does not answer.
  Result<void> post(Command command, const Body& body);

  /// Answers a command, unless it wants no answer.
  Result<void> reply(const Header& command, const Body& body);
  /// Refuses a command, unless it wants no answer; the peer gets errno_of(error).
  Result<void> reply_error(const Header& command, const Error& error);

  /// Whether an error, or the peer's end, has ended the conversation.
  [[nodiscard]] bool over() const { return over_; }
  /// For polling.
  [[nodiscard]] int fd() const { return socket_.fd(); }

 private:
  /// A command that came while a reply was waited for.
  struct Kept {
    Header header;
    std::vector<std::byte> payload;
    std::vector<UniqueFd> fds;
  };

  explicit Channel(sys_util::MessageSocket socket) : socket_(std::move(socket)) {}

  Message arrived();
  Result<void> send(const Header& header, const Body& body, Milliseconds patience = kSendPatience);
  Result<Event> take_kept();
  Result<Event> take_command(Result<Event> event);
  Result<void> keep(Message command);
  Result<Message> await(const Header& sent, Deadline deadline, const Server& server);
  /// Ends the conversation with the error, if it is one.
  template <class T>
  Result<T> last(Result<T> result);

  sys_util::MessageSocket socket_;
  std::deque<Kept> kept_;
  std::size_t kept_bytes_ = 0;
  std::optional<Kept> current_;  // message() when it was kept
  std::uint16_t next_id_ = 0;
  bool over_ = false;
};

}  // namespace vmm::vfio_user
