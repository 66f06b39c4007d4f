// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/backend_session.h"

#include <cerrno>
#include <tuple>

#include "raw_peer.h"
#include "vmm/vhost_user/backend_channel.h"

namespace vmm::vhost_user {
namespace {

using Code = FrontendCode;
using Event = Connection::Event;

constexpr std::uint64_t kAllProtocol = (std::uint64_t{1} << 22) - 1;

/// Does everything, or nothing.
class Handler final : public BackendHandler {
 public:
  std::uint64_t features() const override { return 0xff; }
  std::uint64_t protocol_features() const override { return protocol; }
  std::uint32_t queue_count() const override { return 2; }
  Result<Reply> handle(FrontendRequest& request) override {
    seen.push_back(static_cast<Code>(request.index() + 1));
    if (refuse) return fail(Error::os(EIO, "test"));
    if (std::holds_alternative<request::GetVringBase>(request)) {
      return Reply::with(VringState{1, 77});
    }
    if (std::holds_alternative<request::GetStatus>(request)) return Reply::with(std::uint64_t{3});
    if (auto* const advise = std::get_if<request::SetDeviceStateFd>(&request)) {
      return Reply::with(std::uint64_t{0}, std::move(advise->fd));
    }
    return Reply::done();
  }

  std::uint64_t protocol = kAllProtocol;
  bool refuse = false;
  std::vector<Code> seen;
};

struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.first)), session(*Connection::adopt(std::move(ends.second)), handler) {}

  /// Sends a request and has it served: the error that ends the session.
  std::optional<Error> ask(Code code, const Bytes& payload = {}, std::size_t fds = 0,
                           std::uint32_t flags = 0) {
    peer.send(code, payload, fds, flags);
    const auto event = session.serve();
    if (!event) return event.error();
    CHECK(*event == Event::kMessage);
    return std::nullopt;
  }
  void agree(std::uint64_t protocol = kAllProtocol) {
    REQUIRE_FALSE(ask(Code::kSetFeatures, to_bytes(kFeatureProtocolFeatures | 1)));
    REQUIRE_FALSE(ask(Code::kSetProtocolFeatures, to_bytes(protocol)));
    handler.seen.clear();
  }

  RawPeer peer;
  Handler handler;
  BackendSession session;
};

bool is(const std::optional<Error>& error, MessageError wanted) {
  return error && is(*error, wanted);
}

Bytes number(std::uint64_t value) { return to_bytes(value); }
Bytes state(std::uint32_t index, std::uint32_t value) { return to_bytes(VringState{index, value}); }

TEST_CASE("a session answers what belongs to the protocol", "[session]") {
  Rig rig;
  REQUIRE_FALSE(rig.ask(Code::kGetFeatures));
  auto answer = rig.peer.receive();
  REQUIRE(answer);
  CHECK(answer->header == Header{.request = 1, .flags = kVersion | kReply, .size = 8});
  CHECK(answer->number() == (0xff | kFeatureProtocolFeatures));
  REQUIRE_FALSE(rig.ask(Code::kGetProtocolFeatures));
  CHECK(rig.peer.receive()->number() == kAllProtocol);
  rig.agree();
  REQUIRE_FALSE(rig.ask(Code::kGetQueueNum));
  CHECK(rig.peer.receive()->number() == 2);
  REQUIRE_FALSE(rig.ask(Code::kGetMaxMemSlots));
  CHECK(rig.peer.receive()->number() == 509);
  REQUIRE_FALSE(rig.ask(Code::kSetOwner));
  CHECK_FALSE(rig.peer.receive());
  CHECK(rig.handler.seen.empty());
}

TEST_CASE("replies to acknowledge are always offered", "[session]") {
  Rig rig;
  rig.handler.protocol = 0;
  REQUIRE_FALSE(rig.ask(Code::kGetProtocolFeatures));
  CHECK(rig.peer.receive()->number() == bit(ProtocolFeature::kReplyAck));
}

TEST_CASE("a request is acknowledged when that was agreed on and asked for", "[session]") {
  for (const bool agreed : {false, true}) {
    for (const bool asked : {false, true}) {
      CAPTURE(agreed, asked);
      Rig rig;
      rig.agree(agreed ? kAllProtocol : 0);
      REQUIRE_FALSE(rig.ask(Code::kSetVringNum, state(0, 8), 0, asked ? kNeedReply : 0));
      const auto answer = rig.peer.receive();
      CHECK(answer.has_value() == (agreed && asked));
      if (answer) CHECK(answer->number() == 0);
    }
  }
}

TEST_CASE("a request that cannot be done ends a session only if that cannot be told", "[session]") {
  Rig rig;
  rig.agree();
  rig.handler.refuse = true;
  CHECK_FALSE(rig.ask(Code::kSetVringNum, state(0, 8), 0, kNeedReply));
  CHECK(rig.peer.receive()->number() == 1);
  const auto error = rig.ask(Code::kSetVringNum, state(0, 8));
  REQUIRE(error);
  CHECK(error->is_os(EIO));
  CHECK_FALSE(rig.peer.receive());
}

TEST_CASE("requests with an answer of their own are not acknowledged twice", "[session]") {
  Rig rig;
  rig.agree();
  REQUIRE_FALSE(rig.ask(Code::kGetVringBase, state(1, 0), 0, kNeedReply));
  CHECK(exactly_as<VringState>(rig.peer.receive()->payload) == VringState{1, 77});
  CHECK_FALSE(rig.peer.receive());
  // These are answered whether or not they ask for it.
  REQUIRE_FALSE(rig.ask(Code::kSetLogBase, to_bytes(LogArea{.bytes = 1}), 1));
  CHECK(rig.peer.receive()->number() == 0);
  REQUIRE_FALSE(rig.ask(Code::kPostcopyEnd));
  CHECK(rig.peer.receive()->number() == 0);
  REQUIRE_FALSE(rig.ask(Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{}), 1));
  const auto answer = rig.peer.receive();
  CHECK(answer->number() == 0);
  CHECK(answer->fds.size() == 1);
}

TEST_CASE("failures are told in the way of each request", "[session]") {
  Rig rig;
  rig.agree();
  rig.handler.refuse = true;
  const auto config = to_bytes(ConfigHeader{.offset = 0, .bytes = 4}) + Bytes(4);
  CHECK_FALSE(rig.ask(Code::kGetConfig, config));
  CHECK(rig.peer.receive()->payload.empty());
  CHECK_FALSE(rig.ask(Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{}), 1));
  CHECK(rig.peer.receive()->number() == 0x101);
  CHECK_FALSE(rig.ask(Code::kCheckDeviceState));
  CHECK(rig.peer.receive()->number() == 1);
  CHECK_FALSE(rig.ask(Code::kSetLogBase, to_bytes(LogArea{.bytes = 1}), 1));
  CHECK(rig.peer.receive()->number() == 1);
  CHECK_FALSE(
      rig.ask(Code::kGetInflightFd, to_bytes(InflightArea{.queue_count = 1, .queue_size = 1})));
  CHECK(exactly_as<InflightArea>(rig.peer.receive()->payload)->mmap_bytes == 0);
  // Nobody can be told that there is no base.
  CHECK(rig.ask(Code::kGetVringBase, state(1, 0)));
}

TEST_CASE("features that were not offered are refused", "[session][hostile]") {
  Rig rig;
  CHECK(is(rig.ask(Code::kSetFeatures, number(0x100)), MessageError::kNotOffered));
  CHECK(rig.handler.seen.empty());
  Rig other;
  other.handler.protocol = bit(ProtocolFeature::kMq);
  CHECK(is(other.ask(Code::kSetProtocolFeatures, number(4)), MessageError::kNotOffered));
  CHECK_FALSE(other.session.has(ProtocolFeature::kRarp));
}

TEST_CASE("in-band notifications need a channel and acknowledgements", "[session][hostile]") {
  using enum ProtocolFeature;
  for (const std::uint64_t others : {std::uint64_t{0}, bit(kReplyAck), bit(kBackendReq)}) {
    Rig rig;
    CHECK(is(rig.ask(Code::kSetProtocolFeatures, number(bit(kInbandNotifications) | others)),
             MessageError::kBadState));
  }
  Rig rig;
  CHECK_FALSE(rig.ask(Code::kSetProtocolFeatures,
                      number(bit(kInbandNotifications) | bit(kReplyAck) | bit(kBackendReq))));
}

TEST_CASE("each request needs its feature", "[session][hostile]") {
  struct Case {
    ProtocolFeature feature;
    Code code;
    Bytes payload;
    std::size_t fds = 0;
  };
  using enum ProtocolFeature;
  const auto config = to_bytes(ConfigHeader{.offset = 0, .bytes = 4}) + Bytes(4);
  const auto area = to_bytes(InflightArea{.mmap_bytes = 1, .queue_count = 1, .queue_size = 1});
  const auto region = to_bytes(SingleRegion{0, {.guest_address = 0, .bytes = 1}});
  const Case cases[] = {
      {kMq, Code::kGetQueueNum, {}},
      {kLogShmfd, Code::kSetLogBase, to_bytes(LogArea{.bytes = 1}), 1},
      {kRarp, Code::kSendRarp, number(1)},
      {kMtu, Code::kNetSetMtu, number(1500)},
      {kBackendReq, Code::kSetBackendReqFd, {}, 1},
      {kCrossEndian, Code::kSetVringEndian, state(0, 0)},
      {kConfig, Code::kGetConfig, config},
      {kConfig, Code::kSetConfig, config},
      {kCryptoSession, Code::kCreateCryptoSession, Bytes(8)},
      {kCryptoSession, Code::kCloseCryptoSession, number(1)},
      {kPagefault, Code::kPostcopyAdvise, {}},
      {kPagefault, Code::kPostcopyListen, {}},
      {kPagefault, Code::kPostcopyEnd, {}},
      {kInflightShmfd, Code::kGetInflightFd, area},
      {kInflightShmfd, Code::kSetInflightFd, area, 1},
      {kResetDevice, Code::kResetDevice, {}},
      {kInbandNotifications, Code::kVringKick, state(0, 0)},
      {kConfigureMemSlots, Code::kGetMaxMemSlots, {}},
      {kConfigureMemSlots, Code::kAddMemReg, region, 1},
      {kConfigureMemSlots, Code::kRemMemReg, region},
      {kStatus, Code::kSetStatus, number(1)},
      {kStatus, Code::kGetStatus, {}},
      {kSharedObject, Code::kGetSharedObject, to_bytes(SharedObjectId{{1}})},
      {kDeviceState, Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{}), 1},
      {kDeviceState, Code::kCheckDeviceState, {}},
      {kShmem, Code::kGetShmemConfig, {}},
  };
  for (const Case& one : cases) {
    CAPTURE(static_cast<unsigned>(one.code));
    Rig with;
    with.agree();
    CHECK_FALSE(with.ask(one.code, one.payload, one.fds));
    Rig without;
    without.agree(kAllProtocol & ~bit(one.feature) & ~bit(kInbandNotifications));
    (void)without.ask(one.code, one.payload, one.fds);
    CHECK(without.handler.seen.empty());
  }
}

TEST_CASE("a handler that tells no shared memory supports no private question for it",
          "[session]") {
  Rig rig;
  rig.handler.protocol = bit(ProtocolFeature::kPrivateShmem);
  rig.agree(rig.handler.protocol);
  CHECK(is(rig.ask(Code::kPrivateGetShmemRegions), MessageError::kNotSupported));
  CHECK_FALSE(rig.peer.receive());
}

TEST_CASE("rings are enabled only with protocol features", "[session][hostile]") {
  Rig rig;
  CHECK(is(rig.ask(Code::kSetVringEnable, state(0, 1)), MessageError::kNotNegotiated));
  Rig without;
  REQUIRE_FALSE(without.ask(Code::kSetFeatures, number(1)));
  CHECK(is(without.ask(Code::kSetVringEnable, state(0, 0)), MessageError::kNotNegotiated));
  Rig agreed;
  agreed.agree();
  CHECK_FALSE(agreed.ask(Code::kSetVringEnable, state(0, 1)));
  Rig early;
  REQUIRE_FALSE(early.ask(Code::kSetProtocolFeatures, number(0)));
  CHECK_FALSE(early.ask(Code::kSetVringEnable, state(0, 1)));
  Rig old;
  REQUIRE_FALSE(old.ask(Code::kSetFeatures, number(kFeatureProtocolFeatures)));
  CHECK_FALSE(old.ask(Code::kSetVringEnable, state(0, 1)));
}

// On a connection to the next back end, DPDK first stops the rings of the last one.
TEST_CASE("before features are set rings may be disabled and stopped", "[session]") {
  Rig rig;
  REQUIRE_FALSE(rig.ask(Code::kSetVringEnable, state(0, 0)));
  REQUIRE_FALSE(rig.ask(Code::kGetVringBase, state(1, 0)));
  CHECK(rig.peer.receive());
  rig.agree();
  CHECK_FALSE(rig.ask(Code::kSetVringEnable, state(0, 1)));
}

TEST_CASE("there is no queue beyond the last one", "[session][hostile]") {
  const Code states[] = {Code::kSetVringNum,    Code::kSetVringBase, Code::kGetVringBase,
                         Code::kSetVringEnable, Code::kVringKick,    Code::kSetVringEndian};
  for (const std::uint32_t index : {2u, 255u, 256u, 0x1'0000u, 0xffff'ffffu}) {
    for (const Code code : states) {
      CAPTURE(index, static_cast<unsigned>(code));
      Rig rig;
      rig.agree();
      const std::uint32_t value = code == Code::kSetVringNum ? 8 : code == Code::kVringKick ? 0 : 1;
      CHECK(is(rig.ask(code, state(index, value)), MessageError::kBadQueue));
      CHECK(rig.handler.seen.empty());
    }
    Rig rig;
    rig.agree();
    CHECK(is(rig.ask(Code::kSetVringAddr, to_bytes(VringAddresses{.index = index})),
             MessageError::kBadQueue));
  }
  for (const Code code : {Code::kSetVringKick, Code::kSetVringCall, Code::kSetVringErr}) {
    const std::size_t before = open_fds();
    {
      Rig rig;
      rig.agree();
      CHECK(is(rig.ask(code, number(2), 1), MessageError::kBadQueue));
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("a session has one owner until it is given up", "[session]") {
  Rig rig;
  rig.agree();
  CHECK_FALSE(rig.ask(Code::kSetOwner));
  CHECK_FALSE(rig.ask(Code::kSetOwner, {}, 0, kNeedReply));
  CHECK(rig.peer.receive()->number() == 1);
  CHECK_FALSE(rig.ask(Code::kResetOwner));
  CHECK(rig.session.features() == 0);
  CHECK_FALSE(rig.ask(Code::kSetOwner));
}

TEST_CASE("a reset forgets the features", "[session]") {
  Rig rig;
  rig.agree();
  CHECK(rig.session.features() != 0);
  CHECK_FALSE(rig.ask(Code::kResetDevice));
  CHECK(rig.session.features() == 0);
  CHECK(rig.session.has(ProtocolFeature::kStatus));
}

TEST_CASE("a malformed message ends the session after its answer, and leaves no descriptor",
          "[session][hostile]") {
  for (std::uint32_t code = 0; code < 60; ++code) {
    for (const std::size_t fds : {0u, 1u, 9u, 32u}) {
      CAPTURE(code, fds);
      const std::size_t before = open_fds();
      {
        Rig rig;
        rig.agree();
        // Of no request's size.
        const auto error = rig.ask(static_cast<Code>(code), Bytes(23), fds, kNeedReply);
        if (code == static_cast<std::uint32_t>(Code::kCreateCryptoSession)) continue;
        CHECK(error);
        CHECK(rig.handler.seen.empty());
        const auto answer = rig.peer.receive();
        REQUIRE(answer);
        if (answer->header.size == 8) CHECK(answer->number() != 0);
      }
      CHECK(open_fds() == before);
    }
  }
}

TEST_CASE("a session ends with its peer", "[session]") {
  Rig rig;
  CHECK(*rig.session.serve() == Event::kNothing);
  rig.peer.close();
  CHECK(*rig.session.serve() == Event::kClosed);
}

TEST_CASE("a back end tells and asks on its channel", "[channel]") {
  auto [ours, theirs] = socket_pair();
  BackendChannel channel(*Connection::adopt(std::move(theirs)), bit(ProtocolFeature::kReplyAck));
  RawPeer peer(std::move(ours));
  REQUIRE(channel.config_changed());
  CHECK(peer.receive()->header == Header{.request = 2, .flags = kVersion, .size = 0});
  REQUIRE(channel.call(5));
  CHECK(exactly_as<VringState>(peer.receive()->payload) == VringState{5, 0});

  const auto answer_with = [&](BackendCode code, std::uint64_t value, std::uint32_t flags) {
    peer.send({.request = static_cast<std::uint32_t>(code), .flags = flags, .size = 8},
              to_bytes(value));
  };
  const ShmemArea area{.id = 1, .offset = 4096, .bytes = 4096};
  answer_with(BackendCode::kShmemMap, 0, kVersion | kReply);
  REQUIRE(channel.map_shmem(area, peer.file()));
  const auto asked = peer.receive();
  CHECK(asked->header.flags == (kVersion | kNeedReply));
  CHECK(exactly_as<ShmemArea>(asked->payload) == area);
  CHECK(asked->fds.size() == 1);

  answer_with(BackendCode::kShmemUnmap, 1, kVersion | kReply);
  CHECK(is(channel.unmap_shmem(area).error(), MessageError::kRefused));
}

TEST_CASE("a channel asks no more after an answer that is none", "[channel][hostile]") {
  const auto [code, flags, bytes] =
      GENERATE(std::tuple(BackendCode::kShmemMap, kVersion | kReply, 8u),
               std::tuple(BackendCode::kShmemUnmap, kVersion, 8u),
               std::tuple(BackendCode::kShmemUnmap, kVersion | kReply, 7u));
  auto [ours, theirs] = socket_pair();
  BackendChannel channel(*Connection::adopt(std::move(theirs)), bit(ProtocolFeature::kReplyAck));
  RawPeer peer(std::move(ours));
  const ShmemArea area{.id = 1, .offset = 4096, .bytes = 4096};
  peer.send({.request = static_cast<std::uint32_t>(code), .flags = flags, .size = bytes},
            Bytes(bytes));
  // One that comes late: it is no answer to what is asked next.
  peer.send({.request = static_cast<std::uint32_t>(BackendCode::kShmemUnmap),
             .flags = kVersion | kReply,
             .size = 8},
            to_bytes(std::uint64_t{0}));
  CHECK(is(channel.unmap_shmem(area).error(), MessageError::kBadReply));
  CHECK(peer.receive());
  const auto next = channel.unmap_shmem(area);
  REQUIRE_FALSE(next);
  CHECK(is(next.error(), MessageError::kBadReply));
  CHECK_FALSE(channel.look_up_shared_object({{1}}));
  CHECK_FALSE(peer.receive());
  CHECK(channel.config_changed());  // to this there is no answer
}

TEST_CASE("a channel whose other end says no more is lost", "[channel][hostile]") {
  auto [ours, theirs] = socket_pair();
  BackendChannel channel(*Connection::adopt(std::move(theirs)), bit(ProtocolFeature::kReplyAck));
  RawPeer peer(std::move(ours));
  REQUIRE(::shutdown(peer.fd(), SHUT_WR) == 0);
  CHECK(is(channel.unmap_shmem({.bytes = 4096}).error(), MessageError::kPartial));
}

TEST_CASE("an object comes as one descriptor, or not at all", "[channel][hostile]") {
  auto [ours, theirs] = socket_pair();
  BackendChannel channel(*Connection::adopt(std::move(theirs)), bit(ProtocolFeature::kReplyAck));
  RawPeer peer(std::move(ours));
  for (const std::size_t fds : {0u, 1u, 2u}) {
    peer.send({.request = static_cast<std::uint32_t>(BackendCode::kSharedObjectLookup),
               .flags = kVersion | kReply,
               .size = 8},
              number(0), fds);
    const auto object = channel.look_up_shared_object({{1}});
    CHECK(object.has_value() == (fds == 1));
    if (!object) CHECK(is(object.error(), MessageError::kRefused));
  }
}

TEST_CASE("without acknowledgements a channel does not wait", "[channel]") {
  auto [ours, theirs] = socket_pair();
  BackendChannel channel(*Connection::adopt(std::move(theirs)), 0);
  RawPeer peer(std::move(ours));
  REQUIRE(channel.host_notifier({.index = 1, .bytes = 4096, .offset = 0}, -1));
  const auto sent = peer.receive();
  CHECK(sent->header.flags == kVersion);
  CHECK(exactly_as<VringArea>(sent->payload)->index == (1 | kNoFd));
  CHECK(is(channel.look_up_shared_object({{1}}).error(), MessageError::kNotNegotiated));
}

}  // namespace
}  // namespace vmm::vhost_user
