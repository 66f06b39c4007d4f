// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Both sides of the GPU sub-protocol; see gpu.h.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <variant>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vhost_user/connection.h"
#include "vmm/vhost_user/gpu.h"
#include "vmm/vhost_user/message_error.h"

namespace vmm::vhost_user::gpu {

/// What a back end asks for, one structure each. Numbers are in their range: a scanout is below
/// kMaxScanouts, and there are as many pixels as an update says.
namespace request {

struct GetProtocolFeatures {};
/// VHOST_USER_GPU_SET_PROTOCOL_FEATURES.
struct SetProtocolFeatures {
  std::uint64_t features = 0;  ///< of kFeatureEdid and kFeatureDmabuf2, and perhaps others
};
struct GetDisplayInfo {};
/// VHOST_USER_GPU_GET_EDID.
struct GetEdid {
  std::uint32_t scanout = 0;  ///< below kMaxScanouts
};
/// VHOST_USER_GPU_CURSOR_POS and VHOST_USER_GPU_CURSOR_POS_HIDE.
struct CursorPos {
  gpu::CursorPos pos;  ///< on which scanout, and where
  bool hide = false;   ///< the latter
};
/// VHOST_USER_GPU_CURSOR_UPDATE.
struct CursorUpdate {
  gpu::CursorUpdate cursor;  ///< the image and where it is
};
/// VHOST_USER_GPU_SCANOUT.
struct Scanout {
  gpu::Scanout scanout;  ///< which one, and its size
};
/// VHOST_USER_GPU_UPDATE.
struct Update {
  gpu::Update area;  ///< where the pixels go
  /// 32 bits each, in rows; borrowed from the connection.
  std::span<const std::byte> pixels;
};
/// VHOST_USER_GPU_DMABUF_SCANOUT and VHOST_USER_GPU_DMABUF_SCANOUT2.
struct DmabufScanout {
  gpu::DmabufScanout scanout;  ///< which one, and the buffer's shape
  std::uint64_t modifier = 0;  ///< of DMABUF_SCANOUT2
  UniqueFd fd;                 ///< empty: it is switched off
};
/// VHOST_USER_GPU_DMABUF_UPDATE.
struct DmabufUpdate {
  gpu::Update area;  ///< what has changed in the buffer
};

}  // namespace request

/// One request of a GPU back end.
using GpuRequest = std::variant<request::GetProtocolFeatures, request::SetProtocolFeatures,
                                request::GetDisplayInfo, request::GetEdid, request::CursorPos,
                                request::CursorUpdate, request::Scanout, request::Update,
                                request::DmabufScanout, request::DmabufUpdate>;

/// What a message of a GPU back end asks for. Takes its descriptor, but that of a bad message.
/// Errors: kReplyFlag; those of one message.
Result<GpuRequest, MessageError> parse_gpu(Message message);

/// Shows what a GPU back end draws. Threads: those of DisplaySession.
class DisplayHandler {
 public:
  /// Of kFeatureEdid and kFeatureDmabuf2. Constant.
  [[nodiscard]] virtual std::uint64_t protocol_features() const = 0;
  /// The answer to GetDisplayInfo, which is sent as it is.
  [[nodiscard]] virtual DisplayInfo display_info() = 0;
  /// At most kMaxEdidBytes bytes; none: there is no such display.
  [[nodiscard]] virtual std::vector<std::byte> edid(std::uint32_t scanout) = 0;
  /// One of the others. A DmabufUpdate is answered when this returns.
  virtual void handle(GpuRequest& request) = 0;

 protected:
  ~DisplayHandler() = default;
};

/// The front end's end of the socket. A back end that breaks the protocol ends it, and no more.
///
/// Threads: one at a time.
class DisplaySession {
 public:
  /// Errors: those of Connection::adopt(). `handler` outlives it.
  static Result<DisplaySession> adopt(UniqueFd socket, DisplayHandler& handler);

  /// Serves the next request, if it is there. Errors: those of Connection; MessageError;
  /// kNotNegotiated for what was not agreed on, kNotOffered.
  Result<Connection::Event> serve();
  /// The descriptor, borrowed: readable when there is something to serve.
  [[nodiscard]] int fd() const { return connection_.fd(); }

 private:
  DisplaySession(Connection connection, DisplayHandler& handler)
      : connection_(std::move(connection)), handler_(handler) {}
  [[nodiscard]] Result<void, MessageError> check(Code code, const GpuRequest& request) const;
  Result<void> execute(Code code, GpuRequest& request);
  Result<void> answer(Code code, std::span<const std::byte> payload);

  Connection connection_;
  DisplayHandler& handler_;
  std::uint64_t features_ = 0;
};

/// The back end's end: one function for each request, which returns when it was sent or, for a
/// question, answered.
///
/// Errors: those of Connection; ETIMEDOUT after kPatience; kBadReply for an answer that fits no
/// question; kBadValue for pixels that are not as many as the area says; kNotNegotiated. After any
/// of the first three all fails as it did then, as late answers would be taken for others.
///
/// Threads: one at a time.
class GpuChannel {
 public:
  static constexpr Connection::Milliseconds kPatience{5000};  ///< for one answer

  /// Errors: those of Connection::adopt().
  static Result<GpuChannel> adopt(UniqueFd socket);

  /// Agrees on those of `features` that the front end offers; has() says which.
  Result<void> negotiate(std::uint64_t features);
  /// Whether all of these bits were agreed on.
  [[nodiscard]] bool has(std::uint64_t feature) const { return (features_ & feature) != 0; }
  /// VHOST_USER_GPU_GET_DISPLAY_INFO: what the front end would like the displays to be.
  Result<DisplayInfo> get_display_info();
  /// Needs kFeatureEdid.
  Result<std::vector<std::byte>> get_edid(std::uint32_t scanout);

  ///@{
  /// VHOST_USER_GPU_CURSOR_POS and VHOST_USER_GPU_CURSOR_POS_HIDE.
  Result<void> move_cursor(const CursorPos& pos);
  Result<void> hide_cursor(const CursorPos& pos);
  ///@}
  /// VHOST_USER_GPU_CURSOR_UPDATE.
  Result<void> update_cursor(const CursorUpdate& cursor);
  /// VHOST_USER_GPU_SCANOUT.
  Result<void> set_scanout(const Scanout& scanout);
  /// VHOST_USER_GPU_UPDATE: 32 bits a pixel, in rows.
  Result<void> update(const Update& area, std::span<const std::byte> pixels);
  /// `fd` -1 switches it off.
  Result<void> set_dmabuf_scanout(const DmabufScanout& scanout, int fd);
  /// Needs kFeatureDmabuf2.
  Result<void> set_dmabuf_scanout2(const DmabufScanout2& scanout, int fd);
  /// Returns when the buffer may be changed again.
  Result<void> update_dmabuf(const Update& area);

 private:
  explicit GpuChannel(Connection connection) : connection_(std::move(connection)) {}
  Result<void> send(Code code, std::span<const std::byte> payload, std::span<const int> fds = {});
  /// The payload of the answer, of `bytes` bytes.
  Result<std::span<const std::byte>> ask(Code code, std::span<const std::byte> payload,
                                         std::size_t bytes);

  /// Notes that the conversation is over, and why.
  Error lose(const Error& error);

  Connection connection_;
  std::optional<Error> lost_;
  std::uint64_t features_ = 0;
};

}  // namespace vmm::vhost_user::gpu
