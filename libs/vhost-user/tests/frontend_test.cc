// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/frontend.h"

#include <sys/socket.h>

#include <cerrno>
#include <thread>

#include "scripted_back_end.h"
#include "vmm/vhost_user/backend_channel.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/vhost_user/backend_session.h"

namespace vmm::vhost_user {
namespace {

using Code = FrontendCode;

constexpr MemoryRegion kRegion{.guest_address = 0, .bytes = 4096};

TEST_CASE("a front end asks and becomes the owner", "[frontend]") {
  Scripted rig;
  CHECK(rig.frontend->features() == (kFeatureProtocolFeatures | 1));
  CHECK(rig.frontend->offered_protocol_features() == (std::uint64_t{1} << 22) - 1);
  CHECK_FALSE(rig.frontend->has(ProtocolFeature::kMq));
  rig.agree(~std::uint64_t{0});
  CHECK(rig.frontend->has(ProtocolFeature::kMq));
}

TEST_CASE("an order waits for its acknowledgement where there is one", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  REQUIRE(rig.frontend->set_vring_num(1, 8));
  const auto sent = rig.peer.receive();
  CHECK(sent->header == Header{.request = 8, .flags = kVersion, .size = 8});
  CHECK(exactly_as<VringState>(sent->payload) == VringState{1, 8});
  rig.agree(~std::uint64_t{0});
  rig.answer(Code::kSetVringNum, to_bytes(std::uint64_t{0}));
  REQUIRE(rig.frontend->set_vring_num(1, 8));
  CHECK(rig.peer.receive()->header.flags == (kVersion | kNeedReply));
  rig.answer(Code::kSetVringNum, to_bytes(std::uint64_t{1}));
  CHECK(is(rig.frontend->set_vring_num(1, 8).error(), MessageError::kRefused));
  CHECK_FALSE(rig.frontend->broken());
}

TEST_CASE("what cannot be sent is refused, and the conversation goes on", "[frontend]") {
  constexpr std::uint32_t kNone = kMaxQueues;
  Scripted rig;
  Frontend& frontend = *rig.frontend;
  CHECK(is(frontend.set_vring_enable(0, true).error(), MessageError::kNotNegotiated));
  rig.agree(kNoAck);
  for (const auto& refused :
       {frontend.set_vring_num(kNone, 8), frontend.set_vring_base(kNone, 0),
        frontend.set_vring_addr({.index = kNone}), frontend.set_vring_enable(kNone, true),
        frontend.set_vring_endian(kNone, false), frontend.vring_kick(kNone),
        frontend.set_vring_kick(kNone, -1)}) {
    CHECK(is(refused.error(), MessageError::kBadQueue));
  }
  CHECK(is(frontend.get_vring_base(kNone).error(), MessageError::kBadQueue));
  const int none = -1;
  for (const auto& refused :
       {frontend.set_mem_table({&kRegion, 1}, {&none, 1}), frontend.add_region(kRegion, none),
        frontend.set_log_base({.bytes = 64}, none), frontend.set_log_fd(none),
        frontend.set_inflight({}, none), frontend.set_backend_channel(none),
        frontend.gpu_set_socket(none)}) {
    CHECK(is(refused.error(), MessageError::kBadFdCount));
  }
  CHECK(is(frontend.set_device_state({}, none).error(), MessageError::kBadFdCount));
  CHECK_FALSE(frontend.broken());
  // Nothing was sent before this.
  REQUIRE(frontend.set_vring_enable(kNone - 1, true));
  CHECK(exactly_as<VringState>(rig.peer.receive()->payload) == VringState{kNone - 1, 1});
  REQUIRE(frontend.set_features(1));
  CHECK(is(frontend.set_vring_enable(0, true).error(), MessageError::kNotNegotiated));
  REQUIRE(frontend.set_features(1 | kFeatureProtocolFeatures));
  CHECK(frontend.set_vring_enable(0, true));
}

TEST_CASE("events go by descriptor, or on the back end's channel", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  REQUIRE(rig.frontend->set_log_fd(rig.peer.file()));
  const auto log = rig.peer.receive();
  REQUIRE(log);
  CHECK(log->header == Header{.request = 7, .flags = kVersion, .size = 0});
  CHECK(log->fds.size() == 1);

  auto [ours, theirs] = socket_pair();
  RawPeer front(std::move(ours));
  BackendChannel back(*Connection::adopt(std::move(theirs)), 0);
  REQUIRE(back.ring_error(3));
  REQUIRE(back.call(2));
  const auto error = front.receive();
  REQUIRE(error);
  CHECK(error->header == Header{.request = 5, .flags = kVersion, .size = 8});
  CHECK(exactly_as<VringState>(error->payload) == VringState{3, 0});
  const auto call = front.receive();
  REQUIRE(call);
  CHECK(call->header.request == 4);
  CHECK(exactly_as<VringState>(call->payload) == VringState{2, 0});
}

TEST_CASE("a conversation that was lost stays lost", "[frontend][hostile]") {
  Scripted rig;
  rig.agree(kNoAck);
  rig.peer.close();
  CHECK(rig.frontend->get_queue_num().error().is_os(EPIPE));
  CHECK(rig.frontend->broken());
  CHECK(rig.frontend->set_vring_num(0, 8).error().is_os(EPIPE));
  CHECK(rig.frontend->set_features(0).error().is_os(EPIPE));
  CHECK(rig.frontend->get_vring_base(0).error().is_os(EPIPE));
}

TEST_CASE("a configuration space that cannot be read is told at once", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  std::array<std::byte, 4> config{};
  rig.answer(Code::kGetConfig, {});
  CHECK(is(rig.frontend->get_config(8, config).error(), MessageError::kRefused));
  const auto part = [](std::uint32_t offset, std::uint32_t bytes) {
    return to_bytes(ConfigHeader{.offset = offset, .bytes = bytes}) + Bytes(4, std::byte{9});
  };
  rig.answer(Code::kGetConfig, part(8, 4));
  REQUIRE(rig.frontend->get_config(8, config));
  CHECK(config[3] == std::byte{9});
  // Other back ends refuse with a header that speaks of no bytes.
  rig.answer(Code::kGetConfig, to_bytes(ConfigHeader{.offset = 8, .bytes = 0}));
  CHECK(is(rig.frontend->get_config(8, config).error(), MessageError::kRefused));
  CHECK_FALSE(rig.frontend->broken());
  for (const auto& [offset, bytes] : {std::pair{9u, 4u}, std::pair{8u, 5u}}) {
    Scripted bad;
    bad.agree(kNoAck);
    bad.answer(Code::kGetConfig, part(offset, bytes));
    CHECK(is(bad.frontend->get_config(8, config).error(), MessageError::kBadReply));
  }
}

TEST_CASE("no message is longer than messages are", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  Bytes config(kMaxPayload - sizeof(ConfigHeader) + 1);
  CHECK(is(rig.frontend->get_config(0, config).error(), MessageError::kBadRange));
  CHECK(is(rig.frontend->set_config(0, config).error(), MessageError::kBadRange));
  CHECK_FALSE(rig.peer.receive());
  config.pop_back();
  REQUIRE(rig.frontend->set_config(0, config));
  CHECK(rig.peer.receive()->payload.size() == kMaxPayload);
}

TEST_CASE("what needs a feature is not sent without it", "[frontend]") {
  Scripted rig;
  rig.agree(0);
  Frontend& frontend = *rig.frontend;
  std::array<std::byte, 4> config{};
  CHECK(is(frontend.get_queue_num().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_config(0, config).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.set_config(0, config).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_inflight(1, 1).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.set_status(1).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.reset_device().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.add_region(kRegion, 0).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.set_log_base({.bytes = 1}, 0).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.set_backend_channel(0).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.postcopy_advise().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.vring_kick(0).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.check_device_state().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_shmem_config().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_shared_object({}).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.create_crypto_session(Bytes(8)).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.close_crypto_session(0).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.net_set_mtu(1500).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.send_rarp({}).error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_status().error(), MessageError::kNotNegotiated));
  CHECK(is(frontend.get_max_mem_slots().error(), MessageError::kNotNegotiated));
  CHECK_FALSE(rig.peer.receive());
  CHECK_FALSE(frontend.broken());
}

TEST_CASE("tables and regions that cannot be are refused here", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  Frontend& frontend = *rig.frontend;
  const std::vector<MemoryRegion> nine(9, kRegion);
  const std::vector<int> fds(9, rig.peer.file());
  CHECK(is(frontend.set_mem_table({}, {}).error(), MessageError::kBadValue));
  CHECK(is(frontend.set_mem_table(nine, fds).error(), MessageError::kBadValue));
  CHECK(is(frontend.set_mem_table({&kRegion, 1}, fds).error(), MessageError::kBadValue));
  const MemoryRegion empty{};
  CHECK(is(frontend.set_mem_table({&empty, 1}, {fds.data(), 1}).error(), MessageError::kBadRange));
  CHECK(is(frontend.add_region(empty, fds[0]).error(), MessageError::kBadRange));
  CHECK(is(frontend.set_vring_kick(256, -1).error(), MessageError::kBadQueue));
  CHECK_FALSE(rig.peer.receive());
  REQUIRE(frontend.set_mem_table({nine.data(), 8}, {fds.data(), 8}));
  CHECK(rig.peer.receive()->fds.size() == 8);
}

TEST_CASE("device state comes through the one descriptor or the other", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  const DeviceStateTransfer save{.direction = DeviceStateTransfer::kSave};
  rig.answer(Code::kSetDeviceStateFd, to_bytes(std::uint64_t{0x100}));
  CHECK_FALSE(*rig.frontend->set_device_state(save, rig.peer.file()));
  rig.answer(Code::kSetDeviceStateFd, to_bytes(std::uint64_t{0}), 1);
  CHECK(*rig.frontend->set_device_state(save, rig.peer.file()));
  rig.answer(Code::kSetDeviceStateFd, to_bytes(std::uint64_t{0x101}));
  CHECK(is(rig.frontend->set_device_state(save, rig.peer.file()).error(), MessageError::kRefused));
  rig.answer(Code::kSetDeviceStateFd, to_bytes(std::uint64_t{0}));
  CHECK(is(rig.frontend->set_device_state(save, rig.peer.file()).error(), MessageError::kBadReply));
}

TEST_CASE("descriptors of answers do not leak", "[frontend][hostile]") {
  const std::size_t before = open_fds();
  {
    Scripted rig;
    rig.agree(kNoAck);
    rig.answer(Code::kGetInflightFd, to_bytes(InflightArea{.mmap_bytes = 1}), 3);
    CHECK(is(rig.frontend->get_inflight(1, 1).error(), MessageError::kRefused));
    rig.answer(Code::kGetSharedObject, {}, 2);
    CHECK(is(rig.frontend->get_shared_object({{1}}).error(), MessageError::kRefused));
  }
  CHECK(open_fds() == before);
}

struct Seen final : BackendRequestHandler {
  Result<UniqueFd> handle(BackendRequest& request) override {
    last = request.index() + 1;
    if (refuse) return fail(MessageError::kNotFound);
    if (std::holds_alternative<backend_request::SharedObjectLookup>(request)) {
      return UniqueFd(::dup(0));
    }
    return UniqueFd();
  }
  std::size_t last = 0;
  bool refuse = false;
};

TEST_CASE("a front end does what the back end asks for", "[channel]") {
  auto [ours, theirs] = socket_pair();
  Seen seen;
  FrontendChannel channel(*Connection::adopt(std::move(ours)), seen);
  BackendChannel backend(*Connection::adopt(std::move(theirs)), bit(ProtocolFeature::kReplyAck));
  const auto file = *sys_util::MemFd::create(4096);
  const auto serve_during = [&](auto ask) {
    std::thread server([&] {
      while (*channel.serve() != Connection::Event::kMessage) std::this_thread::yield();
    });
    auto result = ask();
    server.join();
    return result;
  };
  const ShmemArea area{.bytes = 4096};
  CHECK(serve_during([&] { return backend.map_shmem(area, file.fd()); }));
  CHECK(seen.last == 9);
  CHECK(serve_during([&] { return backend.unmap_shmem(area); }));
  CHECK(serve_during([&] { return backend.add_shared_object({{1}}); }));
  CHECK(serve_during([&] { return backend.remove_shared_object({{1}}); }));
  CHECK(serve_during([&] { return backend.host_notifier({.bytes = 4096}, file.fd()); }));
  CHECK(serve_during([&] { return backend.host_notifier({}, -1); }));
  CHECK(serve_during([&] { return backend.iotlb({.bytes = 1, .permission = 1, .type = 1}); }));
  CHECK(serve_during([&] { return backend.look_up_shared_object({{1}}); }));
  CHECK(seen.last == 8);
  seen.refuse = true;
  CHECK(
      is(serve_during([&] { return backend.unmap_shmem(area); }).error(), MessageError::kRefused));
  CHECK_FALSE(serve_during([&] { return backend.look_up_shared_object({{1}}); }));
}

TEST_CASE("a request is answered when that was asked for", "[channel]") {
  for (const bool asked : {false, true}) {
    auto [ours, theirs] = socket_pair();
    Seen seen;
    RawPeer peer(std::move(theirs));
    FrontendChannel channel(*Connection::adopt(std::move(ours)), seen);
    peer.send({.request = static_cast<std::uint32_t>(BackendCode::kConfigChange),
               .flags = kVersion | (asked ? kNeedReply : 0),
               .size = 0});
    CHECK(*channel.serve() == Connection::Event::kMessage);
    CHECK(seen.last == 2);
    CHECK(peer.receive().has_value() == asked);
    // What says that it is an answer is no request.
    peer.send({.request = static_cast<std::uint32_t>(BackendCode::kConfigChange),
               .flags = kVersion | kReply,
               .size = 0});
    CHECK(is(channel.serve().error(), MessageError::kReplyFlag));
  }
}

TEST_CASE("each field of a back end's requests is checked", "[channel][hostile]") {
  using enum MessageError;
  struct Case {
    const char* what;
    BackendCode code;
    Bytes payload;
    std::size_t fds;
    MessageError error;
  };
  constexpr std::uint64_t kTop = ~std::uint64_t{0};
  const auto shmem = [](auto change) {
    ShmemArea area{.bytes = 4096};
    change(area);
    return to_bytes(area);
  };
  const Case cases[] = {
      {"no code", static_cast<BackendCode>(0), {}, 0, kUnknownCode},
      {"a code of the future", static_cast<BackendCode>(11), {}, 0, kUnknownCode},
      {"an update", BackendCode::kIotlbMsg, to_bytes(IotlbMessage{.bytes = 1, .type = 2}), 0,
       kBadValue},
      {"a permission", BackendCode::kIotlbMsg, to_bytes(IotlbMessage{.permission = 4, .type = 1}),
       0, kBadFlags},
      {"a payload", BackendCode::kConfigChange, Bytes(1), 0, kBadSize},
      {"a descriptor", BackendCode::kConfigChange, {}, 1, kBadFdCount},
      {"a call's number", BackendCode::kVringCall, to_bytes(VringState{0, 1}), 0, kBadPadding},
      {"an error's size", BackendCode::kVringErr, Bytes(7), 0, kBadSize},
      {"a notifier without a descriptor", BackendCode::kVringHostNotifier,
       to_bytes(VringArea{.index = 0, .bytes = 1}), 0, kBadFdCount},
      {"a notifier with one too many", BackendCode::kVringHostNotifier,
       to_bytes(VringArea{.index = kNoFd}), 1, kBadFdCount},
      {"a notifier's bits", BackendCode::kVringHostNotifier, to_bytes(VringArea{.index = 0x200}), 1,
       kBadFlags},
      {"an empty notifier", BackendCode::kVringHostNotifier, to_bytes(VringArea{}), 1, kBadRange},
      {"a notifier that wraps", BackendCode::kVringHostNotifier,
       to_bytes(VringArea{.bytes = 2, .offset = kTop}), 1, kBadRange},
      {"no object", BackendCode::kSharedObjectAdd, to_bytes(SharedObjectId{}), 0, kBadValue},
      {"no object to remove", BackendCode::kSharedObjectRemove, to_bytes(SharedObjectId{}), 0,
       kBadValue},
      {"an object's size", BackendCode::kSharedObjectLookup, Bytes(15), 0, kBadSize},
      {"an empty map", BackendCode::kShmemMap, shmem([](auto& a) { a.bytes = 0; }), 1, kBadRange},
      {"a map that wraps", BackendCode::kShmemMap, shmem([](auto& a) { a.offset = kTop; }), 1,
       kBadRange},
      {"a file's offset", BackendCode::kShmemMap, shmem([](auto& a) { a.fd_offset = kTop; }), 1,
       kBadRange},
      {"flags of a map", BackendCode::kShmemMap, shmem([](auto& a) { a.flags = 2; }), 1, kBadFlags},
      {"a map of nothing", BackendCode::kShmemMap, shmem([](auto&) {}), 0, kBadFdCount},
      {"an unmap with a file", BackendCode::kShmemUnmap, shmem([](auto&) {}), 1, kBadFdCount},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    const std::size_t before = open_fds();
    {
      auto [ours, theirs] = socket_pair();
      Seen seen;
      RawPeer peer(std::move(theirs));
      FrontendChannel channel(*Connection::adopt(std::move(ours)), seen);
      peer.send({.request = static_cast<std::uint32_t>(one.code),
                 .flags = kVersion,
                 .size = static_cast<std::uint32_t>(one.payload.size())},
                one.payload, one.fds);
      const auto event = channel.serve();
      REQUIRE_FALSE(event);
      CHECK(is(event.error(), one.error));
      CHECK(seen.last == 0);
    }
    CHECK(open_fds() == before);
  }
}

}  // namespace
}  // namespace vmm::vhost_user
