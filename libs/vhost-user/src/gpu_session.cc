// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/gpu_session.h"

#include <algorithm>
#include <array>
#include <optional>

#include "message_parts.h"
#include "vmm/base/checked.h"

namespace vmm::vhost_user::gpu {
namespace {

using Event = Connection::Event;
using Parsed = Result<GpuRequest, MessageError>;

constexpr Dialect kDialect{.version = 0, .known_flags = kReply, .max_payload = kMaxPayload};

/// How many bytes the pixels of an area have; nullopt when they fit in no message.
std::optional<std::size_t> pixel_bytes(const Update& area) {
  const std::uint64_t pixels = std::uint64_t{area.width} * area.height;  // of 2^32 * 2^32 at most
  if (pixels > kMaxPayload / 4) return std::nullopt;
  return static_cast<std::size_t>(pixels * 4);
}

Result<void, MessageError> check_scanout(std::uint32_t scanout) {
  if (scanout >= kMaxScanouts) return fail(MessageError::kBadValue);
  return {};
}

template <class Request>
Parsed parse_empty(const Message& message) {
  VMM_TRY_DO(want_empty(message));
  return Request{};
}

Parsed parse_cursor_pos(const Message& message, bool hide) {
  VMM_TRY(const auto pos, payload_of<CursorPos>(message));
  VMM_TRY_DO(check_scanout(pos.scanout));
  return request::CursorPos{.pos = pos, .hide = hide};
}

Parsed parse_cursor_update(const Message& message) {
  VMM_TRY(const auto cursor, payload_of<CursorUpdate>(message));
  VMM_TRY_DO(check_scanout(cursor.pos.scanout));
  return request::CursorUpdate{cursor};
}

Parsed parse_scanout(const Message& message) {
  VMM_TRY(const auto scanout, payload_of<Scanout>(message));
  VMM_TRY_DO(check_scanout(scanout.scanout));
  return request::Scanout{scanout};
}

Parsed parse_update(const Message& message) {
  const auto area = front_as<Update>(message.payload);
  if (!area) return fail(MessageError::kBadSize);
  VMM_TRY_DO(check_scanout(area->scanout));
  const auto bytes = pixel_bytes(*area);
  if (!bytes) return fail(MessageError::kBadRange);
  VMM_TRY_DO(want(message, sizeof(Update) + *bytes, 0));
  return request::Update{.area = *area, .pixels = message.payload.subspan(sizeof(Update))};
}

Parsed parse_dmabuf_update(const Message& message) {
  VMM_TRY(const auto area, payload_of<Update>(message));
  VMM_TRY_DO(check_scanout(area.scanout));
  return request::DmabufUpdate{area};
}

Parsed make_dmabuf_scanout(Message& message, const DmabufScanout& scanout, std::uint64_t modifier) {
  VMM_TRY_DO(check_scanout(scanout.scanout));
  if (message.fds.size() > 1) return fail(MessageError::kBadFdCount);
  request::DmabufScanout request{.scanout = scanout, .modifier = modifier, .fd = {}};
  if (!message.fds.empty()) request.fd = std::move(message.fds[0]);
  return request;
}

Parsed parse_dmabuf_scanout(Message& message) {
  VMM_TRY(const auto scanout, payload_of<DmabufScanout>(message, message.fds.size()));
  return make_dmabuf_scanout(message, scanout, 0);
}

Parsed parse_dmabuf_scanout2(Message& message) {
  VMM_TRY(const auto with, payload_of<DmabufScanout2>(message, message.fds.size()));
  std::uint64_t modifier = 0;
  std::memcpy(&modifier, with.modifier.data(), sizeof(modifier));
  return make_dmabuf_scanout(message, with.scanout, modifier);
}

Parsed parse_get_edid(const Message& message) {
  VMM_TRY(const auto which, payload_of<GetEdid>(message));
  VMM_TRY_DO(check_scanout(which.scanout));
  return request::GetEdid{which.scanout};
}

Parsed parse_features(const Message& message) {
  VMM_TRY(const auto features, payload_of<std::uint64_t>(message));
  return request::SetProtocolFeatures{features};
}

}  // namespace

Result<GpuRequest, MessageError> parse_gpu(Message message) {
  if ((message.header.flags & kReply) != 0) return fail(MessageError::kReplyFlag);
  switch (static_cast<Code>(message.header.request)) {
    case Code::kGetProtocolFeatures:
      return parse_empty<request::GetProtocolFeatures>(message);
    case Code::kSetProtocolFeatures:
      return parse_features(message);
    case Code::kGetDisplayInfo:
      return parse_empty<request::GetDisplayInfo>(message);
    case Code::kCursorPos:
      return parse_cursor_pos(message, false);
    case Code::kCursorPosHide:
      return parse_cursor_pos(message, true);
    case Code::kCursorUpdate:
      return parse_cursor_update(message);
    case Code::kScanout:
      return parse_scanout(message);
    case Code::kUpdate:
      return parse_update(message);
    case Code::kDmabufScanout:
      return parse_dmabuf_scanout(message);
    case Code::kDmabufScanout2:
      return parse_dmabuf_scanout2(message);
    case Code::kDmabufUpdate:
      return parse_dmabuf_update(message);
    case Code::kGetEdid:
      return parse_get_edid(message);
  }
  return fail(MessageError::kUnknownCode);
}

Result<DisplaySession> DisplaySession::adopt(UniqueFd socket, DisplayHandler& handler) {
  VMM_TRY(auto connection, Connection::adopt(std::move(socket), kDialect));
  return DisplaySession(std::move(connection), handler);
}

Result<Event> DisplaySession::serve() {
  VMM_TRY(const Event event, connection_.receive());
  if (event != Event::kMessage) return event;
  const auto code = static_cast<Code>(connection_.message().header.request);
  VMM_TRY(GpuRequest request, parse_gpu(connection_.message()));
  VMM_TRY_DO(check(code, request));
  VMM_TRY_DO(execute(code, request));
  return event;
}

Result<void, MessageError> DisplaySession::check(Code code, const GpuRequest& request) const {
  const auto lacks = [&](Code which, std::uint64_t feature) {
    return code == which && (features_ & feature) == 0;
  };
  if (lacks(Code::kGetEdid, kFeatureEdid) || lacks(Code::kDmabufScanout2, kFeatureDmabuf2)) {
    return fail(MessageError::kNotNegotiated);
  }
  const auto* const set = std::get_if<request::SetProtocolFeatures>(&request);
  if (set != nullptr && (set->features & ~handler_.protocol_features()) != 0) {
    return fail(MessageError::kNotOffered);
  }
  return {};
}

Result<void> DisplaySession::execute(Code code, GpuRequest& request) {
  if (code == Code::kGetProtocolFeatures) {
    return answer(code, bytes_of(handler_.protocol_features()));
  }
  if (const auto* const set = std::get_if<request::SetProtocolFeatures>(&request)) {
    features_ = set->features;
    return {};
  }
  if (code == Code::kGetDisplayInfo) return answer(code, bytes_of(handler_.display_info()));
  if (const auto* const which = std::get_if<request::GetEdid>(&request)) {
    const std::vector<std::byte> edid = handler_.edid(which->scanout);
    EdidAnswer reply;
    reply.bytes = static_cast<std::uint32_t>(std::min(edid.size(), kMaxEdidBytes));
    std::ranges::copy(std::span(edid).first(reply.bytes),
                      std::as_writable_bytes(std::span(reply.edid)).begin());
    return answer(code, bytes_of(reply));
  }
  handler_.handle(request);
  if (code == Code::kDmabufUpdate) return answer(code, {});
  return {};
}

Result<void> DisplaySession::answer(Code code, std::span<const std::byte> payload) {
  return connection_.send({.request = static_cast<std::uint32_t>(code),
                           .flags = kReply,
                           .size = static_cast<std::uint32_t>(payload.size())},
                          payload, {});
}

Result<GpuChannel> GpuChannel::adopt(UniqueFd socket) {
  VMM_TRY(auto connection, Connection::adopt(std::move(socket), kDialect));
  return GpuChannel(std::move(connection));
}

Error GpuChannel::lose(const Error& error) {
  lost_ = error;
  return error;
}

Result<void> GpuChannel::send(Code code, std::span<const std::byte> payload,
                              std::span<const int> fds) {
  if (lost_) return fail(*lost_);
  const auto sent = connection_.send({.request = static_cast<std::uint32_t>(code),
                                      .flags = 0,
                                      .size = static_cast<std::uint32_t>(payload.size())},
                                     payload, fds);
  if (!sent) return fail(lose(sent.error()));
  return {};
}

Result<std::span<const std::byte>> GpuChannel::ask(Code code, std::span<const std::byte> payload,
                                                   std::size_t bytes) {
  VMM_TRY_DO(send(code, payload));
  const auto event = connection_.wait(kPatience);
  if (!event) return fail(lose(event.error()));
  if (*event != Event::kMessage) return fail(lose(MessageError::kPartial));
  const Message reply = connection_.message();
  if (reply.header.request != static_cast<std::uint32_t>(code) ||
      (reply.header.flags & kReply) == 0 || reply.payload.size() != bytes || !reply.fds.empty()) {
    return fail(lose(MessageError::kBadReply));
  }
  return reply.payload;
}

Result<void> GpuChannel::negotiate(std::uint64_t features) {
  VMM_TRY(const auto offered, ask(Code::kGetProtocolFeatures, {}, sizeof(std::uint64_t)));
  features_ = *exactly_as<std::uint64_t>(offered) & features & (kFeatureEdid | kFeatureDmabuf2);
  return send(Code::kSetProtocolFeatures, bytes_of(features_));
}

Result<DisplayInfo> GpuChannel::get_display_info() {
  VMM_TRY(const auto reply, ask(Code::kGetDisplayInfo, {}, sizeof(DisplayInfo)));
  return *exactly_as<DisplayInfo>(reply);
}

Result<std::vector<std::byte>> GpuChannel::get_edid(std::uint32_t scanout) {
  if (!has(kFeatureEdid)) return fail(MessageError::kNotNegotiated);
  const GetEdid which{.scanout = scanout};
  VMM_TRY(const auto reply, ask(Code::kGetEdid, bytes_of(which), sizeof(EdidAnswer)));
  const EdidAnswer answer = *exactly_as<EdidAnswer>(reply);
  if (answer.bytes > kMaxEdidBytes) return fail(MessageError::kBadReply);
  const auto edid = std::as_bytes(std::span(answer.edid)).first(answer.bytes);
  return std::vector<std::byte>(edid.begin(), edid.end());
}

Result<void> GpuChannel::move_cursor(const CursorPos& pos) {
  return send(Code::kCursorPos, bytes_of(pos));
}

Result<void> GpuChannel::hide_cursor(const CursorPos& pos) {
  return send(Code::kCursorPosHide, bytes_of(pos));
}

Result<void> GpuChannel::update_cursor(const CursorUpdate& cursor) {
  return send(Code::kCursorUpdate, bytes_of(cursor));
}

Result<void> GpuChannel::set_scanout(const Scanout& scanout) {
  return send(Code::kScanout, bytes_of(scanout));
}

Result<void> GpuChannel::update(const Update& area, std::span<const std::byte> pixels) {
  const auto bytes = pixel_bytes(area);
  if (!bytes || *bytes != pixels.size()) return fail(MessageError::kBadValue);
  std::vector<std::byte> payload(sizeof(area) + pixels.size());
  std::ranges::copy(bytes_of(area), payload.begin());
  std::ranges::copy(pixels, payload.begin() + sizeof(area));
  return send(Code::kUpdate, payload);
}

Result<void> GpuChannel::set_dmabuf_scanout(const DmabufScanout& scanout, int fd) {
  return send(Code::kDmabufScanout, bytes_of(scanout), std::span(&fd, fd >= 0 ? 1u : 0u));
}

Result<void> GpuChannel::set_dmabuf_scanout2(const DmabufScanout2& scanout, int fd) {
  if (!has(kFeatureDmabuf2)) return fail(MessageError::kNotNegotiated);
  return send(Code::kDmabufScanout2, bytes_of(scanout), std::span(&fd, fd >= 0 ? 1u : 0u));
}

Result<void> GpuChannel::update_dmabuf(const Update& area) {
  VMM_TRY_DO(ask(Code::kDmabufUpdate, bytes_of(area), 0));
  return {};
}

}  // namespace vmm::vhost_user::gpu
