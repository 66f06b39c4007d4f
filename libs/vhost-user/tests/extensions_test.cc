// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Crypto sessions, and the private messages for shared memory, between both sides.

#include <poll.h>

#include <thread>

#include "raw_peer.h"
#include "vmm/vhost_user/backend_channel.h"
#include "vmm/vhost_user/backend_request.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/vhost_user/frontend.h"

namespace vmm::vhost_user {
namespace {

using Event = Connection::Event;

/// Whether it is a value, and this one.
template <class R>
bool gives(const R& result, std::uint64_t value) {
  return result && *result == value;
}

/// A back end with crypto sessions and shared memory, as a GPU process of crosvm has it.
class Handler final : public BackendHandler {
 public:
  std::uint64_t features() const override { return 1; }
  std::uint64_t protocol_features() const override {
    return bit(ProtocolFeature::kCryptoSession) | bit(ProtocolFeature::kPrivateShmem);
  }
  std::uint32_t queue_count() const override { return 1; }
  Result<Reply> handle(FrontendRequest& request) override {
    if (const auto* const create = std::get_if<request::CreateCryptoSession>(&request)) {
      Reply reply{.has_payload = true,
                  .payload = {create->session.begin(), create->session.end()},
                  .fd = {}};
      std::memcpy(reply.payload.data() + crypto_session_number_at(reply.payload.size()), &number,
                  sizeof(number));
      return reply;
    }
    if (std::holds_alternative<request::GetShmemConfig>(request)) return Reply::with(config);
    return Reply::done();
  }

  std::uint64_t number = 42;
  ShmemConfig config;
};

struct Sides {
  explicit Sides(const Handler& handles = {}) : Sides(handles, socket_pair()) {}
  Sides(const Handler& handles, std::pair<UniqueFd, UniqueFd> ends)
      : handler(handles),
        session(*Connection::adopt(std::move(ends.first)), handler),
        thread([this] {
          for (;;) {
            const auto event = session.serve();
            if (!event || *event == Event::kClosed) return;
            pollfd one{.fd = session.fd(), .events = POLLIN, .revents = 0};
            (void)::poll(&one, 1, 1000);
          }
        }) {
    frontend.emplace(*Frontend::create(*Connection::adopt(std::move(ends.second))));
    REQUIRE(frontend->negotiate(~std::uint64_t{0}));
  }
  ~Sides() {
    frontend.reset();
    thread.join();
  }

  Handler handler;
  BackendSession session;
  std::thread thread;
  std::optional<Frontend> frontend;
};

TEST_CASE("a crypto session has a number, wherever that stands", "[crypto]") {
  Sides sides;
  for (const std::size_t bytes : {kOldCryptoSessionBytes, std::size_t{1072}, std::size_t{8}}) {
    CAPTURE(bytes);
    CHECK(gives(sides.frontend->create_crypto_session(Bytes(bytes)), 42));
  }
  REQUIRE(sides.frontend->close_crypto_session(42));
  CHECK(is_error(sides.frontend->create_crypto_session(Bytes(7)), MessageError::kBadValue));
  CHECK(is_error(sides.frontend->create_crypto_session(Bytes(kMaxPayload + 1)),
                 MessageError::kBadValue));
  CHECK_FALSE(sides.frontend->broken());
}

TEST_CASE("a crypto session that was not made has a negative number", "[crypto]") {
  Sides sides;
  sides.handler.number = ~std::uint64_t{0};
  CHECK(is_error(sides.frontend->create_crypto_session(Bytes(1072)), MessageError::kRefused));
  CHECK_FALSE(sides.frontend->broken());
}

TEST_CASE("shared memory regions are told by the private message, too", "[private]") {
  Handler handler;
  handler.config.bytes[0] = std::uint64_t{8} << 30;
  handler.config.bytes[200] = 4096;
  handler.config.count = 2;
  Sides sides(handler);
  const auto config = sides.frontend->get_shmem_config();
  REQUIRE(config);
  CHECK(config->count == 2);
  CHECK(config->bytes == handler.config.bytes);
}

TEST_CASE("of more shared memory regions than a message holds, the first ones are told",
          "[private]") {
  Handler handler;
  handler.config.bytes.fill(4096);
  handler.config.count = 256;
  Sides sides(handler);
  const auto config = sides.frontend->get_shmem_config();
  REQUIRE(config);
  CHECK(config->count == 255);
  CHECK(config->bytes[254] == 4096);
  CHECK(config->bytes[255] == 0);
}

TEST_CASE("answers to the private question that cannot be end the conversation",
          "[private][hostile]") {
  const auto answered = [](const Bytes& payload) {
    auto ends = socket_pair();
    RawPeer peer(std::move(ends.first));
    const auto answer = [&](FrontendCode code, const Bytes& bytes) {
      peer.send({.request = static_cast<std::uint32_t>(code),
                 .flags = kVersion | kReply,
                 .size = static_cast<std::uint32_t>(bytes.size())},
                bytes);
    };
    answer(FrontendCode::kGetFeatures, to_bytes(kFeatureProtocolFeatures));
    answer(FrontendCode::kGetProtocolFeatures, to_bytes(bit(ProtocolFeature::kPrivateShmem)));
    Frontend frontend = *Frontend::create(*Connection::adopt(std::move(ends.second)));
    REQUIRE(frontend.negotiate(~std::uint64_t{0}));
    answer(FrontendCode::kPrivateGetShmemRegions, payload);
    return frontend.get_shmem_config().has_value();
  };
  const Bytes region = to_bytes(PrivateShmemRegion{.id = 1, .bytes = 4096});
  CHECK(answered(to_bytes(std::uint64_t{1}) + region));
  CHECK(answered(to_bytes(std::uint64_t{0})));
  CHECK_FALSE(answered({}));
  CHECK_FALSE(answered(Bytes(7)));
  CHECK_FALSE(answered(to_bytes(std::uint64_t{2}) + region));
  CHECK_FALSE(answered(to_bytes(std::uint64_t{0}) + region));
  CHECK_FALSE(answered(to_bytes(std::uint64_t{1} << 60) + region));  // times 16 is 0
  CHECK_FALSE(answered(to_bytes(std::uint64_t{1}) + region + Bytes(1)));
  CHECK_FALSE(answered(to_bytes(std::uint64_t{2}) + region + region));  // twice the same
  CHECK_FALSE(answered(to_bytes(std::uint64_t{1}) + to_bytes(PrivateShmemRegion{.id = 1})));
}

/// What the front end was asked.
class Keeper final : public BackendRequestHandler {
 public:
  Result<UniqueFd> handle(BackendRequest& request) override {
    if (auto* const map = std::get_if<backend_request::ShmemMap>(&request)) {
      area = map->area;
      fd = std::move(map->fd);
    }
    if (auto* const unmap = std::get_if<backend_request::ShmemUnmap>(&request)) area = unmap->area;
    ++asked;
    if (refuse) return fail(MessageError::kRefused);
    return UniqueFd();
  }

  ShmemArea area;
  UniqueFd fd;
  int asked = 0;
  bool refuse = false;
};

TEST_CASE("memory is mapped by the private messages where only they were agreed on",
          "[private][channel]") {
  auto ends = socket_pair();
  Keeper keeper;
  FrontendChannel front(*Connection::adopt(std::move(ends.first)), keeper);
  // Without REPLY_ACK: they are answered all the same.
  BackendChannel back(*Connection::adopt(std::move(ends.second)),
                      bit(ProtocolFeature::kPrivateShmem));
  const sys_util::MemFd file = *sys_util::MemFd::create(8192);
  const auto ask = [&](auto question) {
    std::thread thread([&] {
      while (*front.serve() == Event::kNothing) std::this_thread::yield();
    });
    const auto answer = question();
    thread.join();
    return answer;
  };
  const ShmemArea area{
      .id = 3, .fd_offset = 4096, .offset = 8192, .bytes = 4096, .flags = ShmemArea::kWritable};
  REQUIRE(ask([&] { return back.map_shmem(area, file.fd()); }));
  CHECK(keeper.area == area);
  CHECK(keeper.fd);
  ShmemArea read_only = area;
  read_only.flags = 0;
  REQUIRE(ask([&] { return back.map_shmem(read_only, file.fd()); }));
  CHECK(keeper.area == read_only);
  const ShmemArea gone{.id = 3, .offset = 8192, .bytes = 4096};
  REQUIRE(ask([&] { return back.unmap_shmem(gone); }));
  CHECK(keeper.area == gone);
  keeper.refuse = true;
  CHECK(is_error(ask([&] { return back.unmap_shmem(gone); }), MessageError::kRefused));
}

TEST_CASE("each field of a private message is checked, and leaves no descriptor",
          "[private][hostile]") {
  struct Sent {
    BackendCode code;
    Bytes payload;
    std::size_t fds;
    MessageError error;
  };
  const auto map = [](std::uint8_t flags, std::uint64_t offset, std::uint64_t fd_offset,
                      std::uint64_t bytes) {
    return to_bytes(PrivateShmemMap{
        .flags = flags, .id = 0, .offset = offset, .fd_offset = fd_offset, .bytes = bytes});
  };
  constexpr std::uint64_t kTop = ~std::uint64_t{0} - 4095;
  constexpr BackendCode kMap = BackendCode::kPrivateShmemMap;
  constexpr BackendCode kUnmap = BackendCode::kPrivateShmemUnmap;
  const Sent all[] = {
      {kMap, map(1, 0, 0, 4096), 0, MessageError::kBadFdCount},
      {kMap, map(1, 0, 0, 4096), 2, MessageError::kBadFdCount},
      {kMap, map(0, 0, 0, 4096), 1, MessageError::kBadFlags},
      {kMap, map(4, 0, 0, 4096), 1, MessageError::kBadFlags},
      {kMap, map(3, 0, 0, 0), 1, MessageError::kBadRange},
      {kMap, map(3, kTop, 0, 4096), 1, MessageError::kBadRange},
      {kMap, map(3, 0, kTop, 4096), 1, MessageError::kBadRange},
      {kMap, Bytes(31), 1, MessageError::kBadSize},
      {kUnmap, Bytes(23), 0, MessageError::kBadSize},
      {kUnmap, to_bytes(PrivateShmemUnmap{}), 0, MessageError::kBadRange},
      {kUnmap, to_bytes(PrivateShmemUnmap{.offset = kTop, .bytes = 4096}), 0,
       MessageError::kBadRange},
      {kUnmap, to_bytes(PrivateShmemUnmap{.bytes = 1}), 1, MessageError::kBadFdCount},
      {static_cast<BackendCode>(1002), {}, 0, MessageError::kUnknownCode},
  };
  for (const Sent& sent : all) {
    CAPTURE(static_cast<unsigned>(sent.code), sent.payload.size(), sent.fds);
    const std::size_t before = open_fds();
    {
      auto ends = socket_pair();
      Keeper keeper;
      FrontendChannel front(*Connection::adopt(std::move(ends.first)), keeper);
      RawPeer peer(std::move(ends.second));
      peer.send({.request = static_cast<std::uint32_t>(sent.code),
                 .flags = kVersion,
                 .size = static_cast<std::uint32_t>(sent.payload.size())},
                sent.payload, sent.fds);
      CHECK(is_error(front.serve(), sent.error));
      CHECK(keeper.asked == 0);
    }
    CHECK(open_fds() == before);
  }
}

}  // namespace
}  // namespace vmm::vhost_user
