// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/channel.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>

namespace vmm::vfio_user {
namespace {

using sys_util::MessageSocket;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxKept = 64;
constexpr std::size_t kMaxKeptBytes = 4 * kMaxData;
constexpr std::uint32_t kMaxErrno = 4095;

/// The kinds of messages there are.
bool is_known(std::uint32_t flags) {
  return (flags & ~kNoReply) == 0 || (flags & ~kError) == kReply;
}

Result<std::size_t> payload_bytes(std::span<const std::byte> bytes) {
  const Header header = *exactly_as<Header>(bytes);
  if (!is_known(header.flags)) return fail(UserError::kBadHeader);
  if (header.bytes < sizeof(Header)) return fail(UserError::kTooShort);
  const std::size_t payload = header.bytes - sizeof(Header);
  if (payload > kMaxData + kMaxFixed) return fail(UserError::kTooLong);
  return payload;
}

bool is_reply(const Header& header) { return (header.flags & kTypeMask) == kReply; }

Result<MessageSocket::Event> in_our_words(Result<MessageSocket::Event> event) {
  if (event) return event;
  if (event.error().is_os(ENODATA)) return fail(UserError::kPartial);
  if (event.error().is_os(EOVERFLOW)) return fail(UserError::kStrayFds);
  if (event.error().is_os(ECONNRESET)) return fail(UserError::kDisconnected);
  return event;
}

/// What is left of the time, at least nothing.
Channel::Milliseconds until(Channel::Deadline deadline) {
  const auto left = std::chrono::ceil<Channel::Milliseconds>(deadline - Clock::now());
  return std::max(left, Channel::Milliseconds(0));
}

Error refusal(const Header& header) {
  const bool sensible = header.error != 0 && header.error <= kMaxErrno;
  return Error::os(sensible ? static_cast<int>(header.error) : EIO, "vfio-user peer");
}

Header header_of(std::uint16_t id, std::uint16_t command, std::uint32_t flags, const Body& body) {
  return {
      .id = id,
      .command = command,
      .bytes = static_cast<std::uint32_t>(sizeof(Header) + body.fixed.size() + body.data.size()),
      .flags = flags,
      .error = 0};
}

}  // namespace

Result<Channel> Channel::adopt(UniqueFd socket) {
  VMM_TRY(auto adopted, MessageSocket::adopt(std::move(socket), {.header_bytes = sizeof(Header),
                                                                 .max_fds = kMaxFds,
                                                                 .payload_bytes = &payload_bytes}));
  return Channel(std::move(adopted));
}

Message Channel::arrived() {
  return {.header = *exactly_as<Header>(socket_.header()),
          .payload = socket_.payload(),
          .fds = socket_.fds()};
}

Message Channel::message() {
  if (!current_) return arrived();
  return {.header = current_->header, .payload = current_->payload, .fds = current_->fds};
}

template <class T>
Result<T> Channel::last(Result<T> result) {
  if (!result) over_ = true;
  return result;
}

Result<Channel::Event> Channel::take_kept() {
  current_ = std::move(kept_.front());
  kept_.pop_front();
  kept_bytes_ -= current_->payload.size();
  return Event::kMessage;
}

Result<Channel::Event> Channel::take_command(Result<Event> event) {
  event = last(in_our_words(std::move(event)));
  if (!event) return event;
  if (*event == Event::kClosed) over_ = true;
  if (*event == Event::kMessage && is_reply(arrived().header)) {
    return last<Event>(fail(UserError::kBadReply));
  }
  return event;
}

Result<Channel::Event> Channel::receive() {
  current_.reset();
  if (!kept_.empty()) return take_kept();
  if (over_) return fail(UserError::kDisconnected);
  return take_command(socket_.receive());
}

Result<Channel::Event> Channel::wait(Milliseconds patience) {
  current_.reset();
  if (!kept_.empty()) return take_kept();
  if (over_) return fail(UserError::kDisconnected);
  return take_command(socket_.wait(patience));
}

Result<void> Channel::keep(Message command) {
  if (kept_.size() >= kMaxKept || kept_bytes_ + command.payload.size() > kMaxKeptBytes) {
    return fail(UserError::kTooMany);
  }
  kept_bytes_ += command.payload.size();
  kept_.push_back({.header = command.header,
                   .payload = {command.payload.begin(), command.payload.end()},
                   .fds = {std::make_move_iterator(command.fds.begin()),
                           std::make_move_iterator(command.fds.end())}});
  return {};
}

// The header and the structure behind it are one piece, the data the other.
Result<void> Channel::send(const Header& header, const Body& body, Milliseconds patience) {
  if (over_) return fail(UserError::kDisconnected);
  std::array<std::byte, MessageSocket::kMaxHeaderBytes> front;
  const auto bytes = bytes_of(header);
  if (bytes.size() + body.fixed.size() > front.size()) return fail(UserError::kBadSize);
  const auto end = std::ranges::copy(body.fixed, std::ranges::copy(bytes, front.begin()).out).out;
  const auto sent = socket_.send(std::span(front.begin(), end), body.data, body.fds, patience);
  if (!sent && sent.error().is_os(EPIPE)) return last<void>(fail(UserError::kDisconnected));
  return last(sent);
}

Result<Message> Channel::call(Command command, const Body& body, Deadline deadline,
                              const Server& server) {
  const Header header = header_of(next_id_++, static_cast<std::uint16_t>(command), 0, body);
  VMM_TRY_DO(send(header, body, std::min(until(deadline), kSendPatience)));
  VMM_TRY(const Message answer, last(await(header, deadline, server)));
  if ((answer.header.flags & kError) != 0) return fail(refusal(answer.header));
  return answer;
}

Result<Message> Channel::await(const Header& sent, Deadline deadline, const Server& server) {
  for (;;) {
    VMM_TRY(const Event event, in_our_words(socket_.wait(until(deadline))));
    if (event == Event::kClosed) return fail(UserError::kDisconnected);
    Message message = arrived();
    if (!is_reply(message.header)) {
      VMM_TRY_DO(server ? server(message) : keep(message));
      // A peer that asks without end does not get more time by that.
      if (Clock::now() >= deadline) return fail(Error::os(ETIMEDOUT, "wait for a peer's reply"));
      continue;
    }
    if (message.header.id != sent.id || message.header.command != sent.command) {
      return fail(UserError::kBadReply);
    }
    return message;
  }
}

Result<void> Channel::post(Command command, const Body& body) {
  return send(header_of(next_id_++, static_cast<std::uint16_t>(command), kNoReply, body), body);
}

Result<void> Channel::reply(const Header& command, const Body& body) {
  if ((command.flags & kNoReply) != 0) return {};
  return send(header_of(command.id, command.command, kReply, body), body);
}

Result<void> Channel::reply_error(const Header& command, const Error& error) {
  if ((command.flags & kNoReply) != 0) return {};
  Header header = header_of(command.id, command.command, kReply | kError, {});
  header.error = errno_of(error);
  return send(header, {});
}

}  // namespace vmm::vfio_user
