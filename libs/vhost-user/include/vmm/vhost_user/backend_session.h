// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/frontend_request.h"
#include "vmm/vhost_user/payload.h"

namespace vmm::vhost_user {

/// What a back end answers to a request: nothing but that it was done, or what was asked for.
struct Reply {
  bool has_payload = false;        ///< false: just "done", in a message where one was asked for
  std::vector<std::byte> payload;  ///< with has_payload: what follows the header
  UniqueFd fd;                     ///< what goes with the message; empty: nothing

  /// Done; the front end is told so if it wants to know.
  static Reply done() { return {}; }
  /// An answer to a question: the bytes of `value`, and perhaps a descriptor.
  template <Payload T>
  static Reply with(const T& value, UniqueFd fd = {}) {
    const auto bytes = bytes_of(value);
    return {.has_payload = true, .payload = {bytes.begin(), bytes.end()}, .fd = std::move(fd)};
  }
  /// No payload, and perhaps a descriptor.
  static Reply with_fd(UniqueFd fd) {
    return {.has_payload = true, .payload = {}, .fd = std::move(fd)};
  }
};

/// What a back end offers and does. What belongs to the protocol alone is answered by the session.
///
/// Threads: the session's.
class BackendHandler {
 public:
  /// What the device and its rings offer, without kFeatureProtocolFeatures. Constant.
  [[nodiscard]] virtual std::uint64_t features() const = 0;
  /// Bits of ProtocolFeature. Constant.
  [[nodiscard]] virtual std::uint64_t protocol_features() const = 0;
  /// At most kMaxQueues. Constant.
  [[nodiscard]] virtual std::uint32_t queue_count() const = 0;
  /// Does what a front end asks for. Features, protocol features and queue indices were checked.
  /// Never called for GetFeatures, GetProtocolFeatures, GetQueueNum, GetMaxMemSlots and SetOwner.
  /// An error is told to the front end if it wants to know; else the session ends with it.
  virtual Result<Reply> handle(FrontendRequest& request) = 0;

 protected:
  ~BackendHandler() = default;
};

/// The back end's side of a conversation: reads requests, checks what the protocol says about
/// them, has them done, and answers.
///
///   while waiting on session.fd():
///     VMM_TRY(const auto event, session.serve());
///     if (event == Connection::Event::kClosed) break;
///
/// A message that breaks the protocol ends the session, after an answer if one was asked for. A
/// request that makes sense and cannot be done ends it only when the front end could not be told.
///
/// Threads: one at a time.
class BackendSession {
 public:
  /// `handler` outlives the session.
  BackendSession(Connection connection, BackendHandler& handler)
      : connection_(std::move(connection)), handler_(handler) {}

  /// Serves the next request, if it is there.
  /// Errors: those of Connection; MessageError; those of the handler.
  Result<Connection::Event> serve();
  /// The descriptor, borrowed: readable when there is something to serve.
  [[nodiscard]] int fd() const { return connection_.fd(); }

  /// What the front end agreed to.
  [[nodiscard]] std::uint64_t features() const { return features_.value_or(0); }
  /// Whether the front end agreed to a protocol feature.
  [[nodiscard]] bool has(ProtocolFeature feature) const {
    return (protocol_features_ & bit(feature)) != 0;
  }

 private:
  [[nodiscard]] Result<void, MessageError> check(FrontendCode code,
                                                 const FrontendRequest& request) const;
  Result<Reply> execute(FrontendCode code, FrontendRequest& request);
  Result<Reply> handle_and_note(FrontendRequest& request);
  Result<void, MessageError> set_protocol_features(std::uint64_t features);
  Result<void> answer(const Header& header, const Reply& reply);
  Result<void> answer_error(const Header& header, const Error& error, bool fatal);
  [[nodiscard]] bool wants_ack(const Header& header) const {
    return (header.flags & kNeedReply) != 0 && has(ProtocolFeature::kReplyAck);
  }

  Connection connection_;
  BackendHandler& handler_;
  std::optional<std::uint64_t> features_;  // nothing until they are set
  std::uint64_t protocol_features_ = 0;
  bool speaks_protocol_ = false;  // has set protocol features
  bool owned_ = false;
};

}  // namespace vmm::vhost_user
