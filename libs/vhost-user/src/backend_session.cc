// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/backend_session.h"

#include <cstring>
#include <optional>
#include <variant>

namespace vmm::vhost_user {
namespace {

using Event = Connection::Event;

constexpr std::uint64_t kOk = 0;
constexpr std::uint64_t kFailed = 1;

/// The protocol feature that has to be agreed on before such a request.
std::optional<ProtocolFeature> needed_by(FrontendCode code) {
  using enum ProtocolFeature;
  switch (code) {
    case FrontendCode::kGetQueueNum:
      return kMq;
    case FrontendCode::kSetLogBase:
      return kLogShmfd;
    case FrontendCode::kSendRarp:
      return kRarp;
    case FrontendCode::kNetSetMtu:
      return kMtu;
    case FrontendCode::kSetBackendReqFd:
      return kBackendReq;
    case FrontendCode::kSetVringEndian:
      return kCrossEndian;
    case FrontendCode::kGetConfig:
    case FrontendCode::kSetConfig:
      return kConfig;
    case FrontendCode::kCreateCryptoSession:
    case FrontendCode::kCloseCryptoSession:
      return kCryptoSession;
    case FrontendCode::kPostcopyAdvise:
    case FrontendCode::kPostcopyListen:
    case FrontendCode::kPostcopyEnd:
      return kPagefault;
    case FrontendCode::kGetInflightFd:
    case FrontendCode::kSetInflightFd:
      return kInflightShmfd;
    case FrontendCode::kResetDevice:
      return kResetDevice;
    case FrontendCode::kVringKick:
      return kInbandNotifications;
    case FrontendCode::kGetMaxMemSlots:
    case FrontendCode::kAddMemReg:
    case FrontendCode::kRemMemReg:
      return kConfigureMemSlots;
    case FrontendCode::kSetStatus:
    case FrontendCode::kGetStatus:
      return kStatus;
    case FrontendCode::kGetSharedObject:
      return kSharedObject;
    case FrontendCode::kSetDeviceStateFd:
    case FrontendCode::kCheckDeviceState:
      return kDeviceState;
    case FrontendCode::kGetShmemConfig:
      return kShmem;
    case FrontendCode::kPrivateGetShmemRegions:
      return kPrivateShmem;
    default:
      return std::nullopt;
  }
}

/// The answer to kPrivateGetShmemRegions that says the same as one to kGetShmemConfig.
Result<Reply> private_regions(const Reply& reply) {
  const auto config = exactly_as<ShmemConfig>(reply.payload);
  if (!config) return fail(MessageError::kNotSupported);
  Reply regions = Reply::with(std::uint64_t{0});
  std::uint64_t count = 0;
  for (std::size_t id = 0; id < config->bytes.size(); ++id) {
    if (config->bytes[id] == 0) continue;
    const PrivateShmemRegion region{.id = static_cast<std::uint8_t>(id),
                                    .bytes = config->bytes[id]};
    const auto bytes = bytes_of(region);
    if (regions.payload.size() + bytes.size() > kMaxPayload) break;
    regions.payload.insert(regions.payload.end(), bytes.begin(), bytes.end());
    ++count;
  }
  std::memcpy(regions.payload.data(), &count, sizeof(count));
  return regions;
}

/// Whether the front end waits for a number of 64 bits, asked for or not.
bool is_always_acked(FrontendCode code) {
  return code == FrontendCode::kIotlbMsg || code == FrontendCode::kSetLogBase ||
         code == FrontendCode::kPostcopyEnd;
}

/// How a request with an answer of its own is told that it failed; nullopt when that cannot be.
std::optional<Reply> failure_of(FrontendCode code) {
  switch (code) {
    case FrontendCode::kGetConfig:
    case FrontendCode::kGetSharedObject:
      return Reply::with_fd({});
    case FrontendCode::kSetDeviceStateFd:
      return Reply::with(kFailed | DeviceStateTransfer::kReplyNoFd);
    case FrontendCode::kCheckDeviceState:
      return Reply::with(kFailed);
    case FrontendCode::kGetInflightFd:
      return Reply::with(InflightArea{});  // no memory
    default:
      if (is_always_acked(code)) return Reply::with(kFailed);
      return std::nullopt;
  }
}

}  // namespace

Result<Event> BackendSession::serve() {
  VMM_TRY(const Event event, connection_.receive());
  if (event != Event::kMessage) return event;
  const Header header = connection_.message().header;
  auto request = parse_frontend(connection_.message());
  if (!request) {
    VMM_TRY_DO(answer_error(header, request.error(), true));
    return event;
  }
  auto reply = execute(static_cast<FrontendCode>(header.request), *request);
  if (reply) {
    VMM_TRY_DO(answer(header, *reply));
  } else {
    VMM_TRY_DO(answer_error(header, reply.error(), false));
  }
  return event;
}

Result<void, MessageError> BackendSession::check(FrontendCode code,
                                                 const FrontendRequest& request) const {
  const std::optional<ProtocolFeature> needed = needed_by(code);
  if (needed && !has(*needed)) return fail(MessageError::kNotNegotiated);
  // QEMU enables rings of networks before it sets features. DPDK disables those that the last back
  // end had before it has agreed on anything, which says nothing new.
  const auto* const ring = std::get_if<request::SetVringEnable>(&request);
  const bool protocol = speaks_protocol_ || (features_.value_or(0) & kFeatureProtocolFeatures) != 0;
  if (ring != nullptr && !protocol && (ring->enable || features_)) {
    return fail(MessageError::kNotNegotiated);
  }
  const std::uint32_t* const queue = queue_of(request);
  if (queue != nullptr && *queue >= handler_.queue_count()) return fail(MessageError::kBadQueue);
  return {};
}

Result<Reply> BackendSession::execute(FrontendCode code, FrontendRequest& request) {
  VMM_TRY_DO(check(code, request));
  switch (code) {
    case FrontendCode::kGetFeatures:
      return Reply::with(handler_.features() | kFeatureProtocolFeatures);
    case FrontendCode::kGetProtocolFeatures:
      return Reply::with(handler_.protocol_features() | bit(ProtocolFeature::kReplyAck));
    case FrontendCode::kSetProtocolFeatures:
      VMM_TRY_DO(set_protocol_features(std::get<request::SetProtocolFeatures>(request).features));
      return handler_.handle(request);
    case FrontendCode::kGetQueueNum:
      return Reply::with(std::uint64_t{handler_.queue_count()});
    case FrontendCode::kGetMaxMemSlots:
      return Reply::with(std::uint64_t{kMaxMemSlots});
    case FrontendCode::kSetOwner:
      if (owned_) return fail(MessageError::kBadState);
      owned_ = true;
      return Reply::done();
    case FrontendCode::kPrivateGetShmemRegions: {
      VMM_TRY(const Reply config, handler_.handle(request));
      return private_regions(config);
    }
    default:
      return handle_and_note(request);
  }
}

Result<Reply> BackendSession::handle_and_note(FrontendRequest& request) {
  const auto* const features = std::get_if<request::SetFeatures>(&request);
  if (features != nullptr &&
      (features->features & ~(handler_.features() | kFeatureProtocolFeatures)) != 0) {
    return fail(MessageError::kNotOffered);
  }
  VMM_TRY(Reply reply, handler_.handle(request));
  if (features != nullptr) features_ = features->features;
  if (std::holds_alternative<request::ResetOwner>(request)) owned_ = false;
  if (std::holds_alternative<request::ResetOwner>(request) ||
      std::holds_alternative<request::ResetDevice>(request)) {
    features_.reset();
  }
  return reply;
}

Result<void, MessageError> BackendSession::set_protocol_features(std::uint64_t features) {
  const std::uint64_t offered = handler_.protocol_features() | bit(ProtocolFeature::kReplyAck);
  if ((features & ~offered) != 0) return fail(MessageError::kNotOffered);
  constexpr std::uint64_t kForInband =
      bit(ProtocolFeature::kBackendReq) | bit(ProtocolFeature::kReplyAck);
  if ((features & bit(ProtocolFeature::kInbandNotifications)) != 0 &&
      (features & kForInband) != kForInband) {
    return fail(MessageError::kBadState);
  }
  protocol_features_ = features;
  speaks_protocol_ = true;
  return {};
}

Result<void> BackendSession::answer(const Header& header, const Reply& reply) {
  Header back{.request = header.request, .flags = kVersion | kReply, .size = 0};
  std::span<const std::byte> payload = reply.payload;
  if (!reply.has_payload) {
    const auto code = static_cast<FrontendCode>(header.request);
    if (!wants_ack(header) && !is_always_acked(code)) return {};
    payload = bytes_of(kOk);
  }
  back.size = static_cast<std::uint32_t>(payload.size());
  const int fd = reply.fd.get();
  return connection_.send(back, payload, std::span(&fd, fd >= 0 ? 1u : 0u));
}

Result<void> BackendSession::answer_error(const Header& header, const Error& error, bool fatal) {
  std::optional<Reply> failure = failure_of(static_cast<FrontendCode>(header.request));
  if (!failure && wants_ack(header)) failure = Reply::with(kFailed);
  if (failure) VMM_TRY_DO(answer(header, *failure));
  if (fatal || !failure) return fail(error);
  return {};
}

}  // namespace vmm::vhost_user
