// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/gpu_session.h"

#include <cerrno>
#include <thread>

#include "raw_peer.h"

namespace vmm::vhost_user::gpu {
namespace {

using Event = Connection::Event;

/// A front end with one display, which keeps what it was told.
class Screen final : public DisplayHandler {
 public:
  std::uint64_t protocol_features() const override { return kFeatureEdid | kFeatureDmabuf2; }
  DisplayInfo display_info() override {
    DisplayInfo info;
    info.displays[0] = {.x = 0, .y = 0, .width = 640, .height = 480, .enabled = 1};
    return info;
  }
  std::vector<std::byte> edid(std::uint32_t scanout) override {
    return std::vector<std::byte>(scanout == 0 ? 128 : 0, std::byte{0x5a});
  }
  void handle(GpuRequest& request) override {
    if (const auto* const update = std::get_if<request::Update>(&request)) {
      pixels.assign(update->pixels.begin(), update->pixels.end());
    }
    if (auto* const dmabuf = std::get_if<request::DmabufScanout>(&request)) {
      modifier = dmabuf->modifier;
      buffer = std::move(dmabuf->fd);
    }
    kinds.push_back(request.index());
  }

  std::vector<std::size_t> kinds;
  Bytes pixels;
  std::uint64_t modifier = 0;
  UniqueFd buffer;
};

template <class Request>
std::size_t kind_of() {
  return GpuRequest(Request{}).index();
}

/// Both ends; the front end's runs on a thread, so that questions are answered.
struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : channel(*GpuChannel::adopt(std::move(ends.first))),
        display(*DisplaySession::adopt(std::move(ends.second), screen)) {}

  /// Asks while the front end serves `messages` messages.
  template <class Ask>
  auto ask(int messages, Ask question) {
    std::thread front_end([&] {
      while (messages > 0) {
        const auto event = display.serve();
        if (!event || *event == Event::kClosed) return;
        if (*event == Event::kMessage) --messages;
      }
    });
    auto answer = question();
    front_end.join();
    return answer;
  }
  void serve() { REQUIRE(*display.serve() == Event::kMessage); }

  Screen screen;
  GpuChannel channel;
  DisplaySession display;
};

TEST_CASE("a GPU back end asks, and the front end answers", "[gpu]") {
  Rig rig;
  CHECK(is_error(rig.channel.get_edid(0), MessageError::kNotNegotiated));
  REQUIRE(rig.ask(2, [&] { return rig.channel.negotiate(~std::uint64_t{0}); }));
  CHECK(rig.channel.has(kFeatureEdid));
  const auto info = rig.ask(1, [&] { return rig.channel.get_display_info(); });
  REQUIRE(info);
  CHECK(info->displays[0].width == 640);
  const auto edid = rig.ask(1, [&] { return rig.channel.get_edid(0); });
  REQUIRE(edid);
  CHECK(edid->size() == 128);
  CHECK(rig.ask(1, [&] { return rig.channel.get_edid(3); })->empty());
  REQUIRE(rig.ask(1, [&] { return rig.channel.update_dmabuf({.width = 9, .height = 9}); }));
  CHECK(rig.screen.kinds == std::vector{kind_of<request::DmabufUpdate>()});
}

TEST_CASE("what a GPU back end draws arrives", "[gpu]") {
  Rig rig;
  const sys_util::MemFd buffer = *sys_util::MemFd::create(4096);
  REQUIRE(rig.channel.set_scanout({.scanout = 0, .width = 640, .height = 480}));
  rig.serve();
  REQUIRE(rig.channel.move_cursor({.scanout = 0, .x = 1, .y = 2}));
  rig.serve();
  REQUIRE(rig.channel.hide_cursor({}));
  rig.serve();
  REQUIRE(rig.channel.set_dmabuf_scanout({.width = 8, .height = 8}, buffer.fd()));
  rig.serve();
  CHECK(rig.screen.buffer);
  REQUIRE(rig.ask(2, [&] { return rig.channel.negotiate(kFeatureDmabuf2); }));
  REQUIRE(rig.channel.set_dmabuf_scanout2({.scanout = {}, .modifier = {7, 1}}, -1));
  rig.serve();
  CHECK_FALSE(rig.screen.buffer);
  CHECK(rig.screen.modifier == 0x1'0000'0007);
  // More than a socket holds.
  Bytes pixels(std::size_t{1024} * 512 * 4, std::byte{3});
  pixels.back() = std::byte{9};
  REQUIRE(rig.ask(1, [&] { return rig.channel.update({.width = 1024, .height = 512}, pixels); }));
  CHECK(rig.screen.pixels == pixels);
  const auto cursor = std::make_unique<CursorUpdate>();
  REQUIRE(rig.ask(1, [&] { return rig.channel.update_cursor(*cursor); }));
  CHECK(rig.screen.kinds.back() == kind_of<request::CursorUpdate>());
  CHECK(
      is_error(rig.channel.update({.width = 2, .height = 2}, Bytes(15)), MessageError::kBadValue));
  CHECK(is_error(rig.channel.update({.width = 0x10000, .height = 0x10000}, {}),
                 MessageError::kBadValue));
  REQUIRE(rig.ask(2, [&] { return rig.channel.negotiate(0); }));
  CHECK(is_error(rig.channel.set_dmabuf_scanout2({}, -1), MessageError::kNotNegotiated));
}

/// What a front end says to one message of a back end.
struct Sent {
  Code code;
  Bytes payload;
  std::size_t fds = 0;
  MessageError error;
};

template <Payload T>
Bytes cut(const T& value, std::size_t bytes) {
  Bytes all = to_bytes(value);
  all.resize(bytes);
  return all;
}

TEST_CASE("each message of a GPU back end is checked, and leaves no descriptor", "[gpu][hostile]") {
  const Update beyond{.scanout = 0, .width = 0xffffffff, .height = 0xffffffff};
  const Update wraps{.scanout = 0, .width = 0x10000, .height = 0x10000};  // 2^34 bytes
  const Sent all[] = {
      {Code::kGetDisplayInfo, Bytes(1), 0, MessageError::kBadSize},
      {Code::kGetDisplayInfo, {}, 1, MessageError::kBadFdCount},
      {Code::kSetProtocolFeatures, Bytes(7), 0, MessageError::kBadSize},
      {Code::kSetProtocolFeatures, to_bytes(std::uint64_t{4}), 0, MessageError::kNotOffered},
      {Code::kGetEdid, to_bytes(GetEdid{0}), 0, MessageError::kNotNegotiated},
      {Code::kGetEdid, to_bytes(GetEdid{16}), 0, MessageError::kBadValue},
      {Code::kCursorPos, to_bytes(CursorPos{.scanout = 16}), 0, MessageError::kBadValue},
      {Code::kCursorPosHide, cut(CursorPos{}, 11), 0, MessageError::kBadSize},
      {Code::kCursorUpdate, cut(CursorPos{}, 12), 0, MessageError::kBadSize},
      {Code::kScanout, to_bytes(Scanout{.scanout = 16}), 0, MessageError::kBadValue},
      {Code::kScanout, to_bytes(Scanout{}), 2, MessageError::kBadFdCount},
      {Code::kUpdate, cut(Update{}, 19), 0, MessageError::kBadSize},
      {Code::kUpdate, to_bytes(Update{.width = 1, .height = 1}), 0, MessageError::kBadSize},
      {Code::kUpdate, to_bytes(Update{}) + Bytes(4), 0, MessageError::kBadSize},
      {Code::kUpdate, to_bytes(beyond), 0, MessageError::kBadRange},
      {Code::kUpdate, to_bytes(wraps), 0, MessageError::kBadRange},
      {Code::kUpdate, to_bytes(Update{}), 1, MessageError::kBadFdCount},
      {Code::kDmabufScanout, to_bytes(DmabufScanout{}), 2, MessageError::kBadFdCount},
      {Code::kDmabufScanout, to_bytes(DmabufScanout{.scanout = 99}), 1, MessageError::kBadValue},
      {Code::kDmabufScanout2, to_bytes(DmabufScanout2{}), 1, MessageError::kNotNegotiated},
      {Code::kDmabufScanout2, cut(DmabufScanout2{}, 44), 1, MessageError::kBadSize},
      {Code::kDmabufUpdate, to_bytes(Update{.scanout = 16}), 0, MessageError::kBadValue},
      {static_cast<Code>(0), {}, 3, MessageError::kUnknownCode},
      {static_cast<Code>(13), {}, 3, MessageError::kUnknownCode},
  };
  for (const Sent& sent : all) {
    CAPTURE(static_cast<unsigned>(sent.code), sent.payload.size(), sent.fds);
    const std::size_t before = open_fds();
    {
      Screen screen;
      auto ends = socket_pair();
      RawPeer peer(std::move(ends.first));
      auto display = *DisplaySession::adopt(std::move(ends.second), screen);
      peer.send({.request = static_cast<std::uint32_t>(sent.code),
                 .flags = 0,
                 .size = static_cast<std::uint32_t>(sent.payload.size())},
                sent.payload, sent.fds);
      CHECK(is_error(display.serve(), sent.error));
      CHECK(screen.kinds.empty());
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("headers of the GPU socket have no version, and announce no more than a frame",
          "[gpu][hostile]") {
  const auto refused = [](const Header& header, MessageError error) {
    Screen screen;
    auto ends = socket_pair();
    RawPeer peer(std::move(ends.first));
    auto display = *DisplaySession::adopt(std::move(ends.second), screen);
    peer.send(header);
    return is_error(display.serve(), error);
  };
  CHECK(refused({.request = 3, .flags = 1, .size = 0}, MessageError::kBadVersion));
  CHECK(refused({.request = 3, .flags = 8, .size = 0}, MessageError::kBadVersion));
  CHECK(refused({.request = 3, .flags = kReply, .size = 0}, MessageError::kReplyFlag));
  CHECK(refused({.request = 8, .flags = 0, .size = 0xffffffff}, MessageError::kTooLarge));
  CHECK(refused({.request = 8, .flags = 0, .size = kMaxPayload + 1}, MessageError::kTooLarge));
}

TEST_CASE("answers on the GPU socket that fit no question are refused", "[gpu][hostile]") {
  const auto answered = [](const Header& header, const Bytes& payload, std::size_t fds) {
    auto ends = socket_pair();
    RawPeer peer(std::move(ends.first));
    auto channel = *GpuChannel::adopt(std::move(ends.second));
    peer.send(header, payload, fds);
    return channel.get_display_info();
  };
  constexpr std::uint32_t kAsked = 3;
  const Bytes info = to_bytes(DisplayInfo{});
  const std::size_t before = open_fds();
  CHECK(answered({kAsked, kReply, 408}, info, 0));
  CHECK_FALSE(answered({kAsked, 0, 408}, info, 0));
  CHECK_FALSE(answered({kAsked + 1, kReply, 408}, info, 0));
  CHECK_FALSE(answered({kAsked, kReply, 407}, Bytes(407), 0));
  CHECK_FALSE(answered({kAsked, kReply, 408}, info, 1));
  CHECK(open_fds() == before);
}

TEST_CASE("a front end of a GPU that has gone, or says what is no message, is lost",
          "[gpu][hostile]") {
  auto ends = socket_pair();
  RawPeer peer(std::move(ends.first));
  auto channel = *GpuChannel::adopt(std::move(ends.second));
  SECTION("it has gone") {
    peer.close();
    CHECK(channel.hide_cursor({}).error().is_os(EPIPE));
    CHECK(channel.get_display_info().error().is_os(EPIPE));
  }
  SECTION("it says no more") {
    REQUIRE(::shutdown(peer.fd(), SHUT_WR) == 0);
    CHECK(is_error(channel.get_display_info(), MessageError::kPartial));
    CHECK(is_error(channel.hide_cursor({}), MessageError::kPartial));
  }
  SECTION("no message") {
    peer.send({3, kReply | 1, 408});
    CHECK(is_error(channel.get_display_info(), MessageError::kBadVersion));
    CHECK(is_error(channel.hide_cursor({}), MessageError::kBadVersion));
  }
}

TEST_CASE("an EDID is not longer than there is room for", "[gpu][hostile]") {
  const auto answered = [](std::uint32_t bytes) {
    auto ends = socket_pair();
    RawPeer peer(std::move(ends.first));
    auto channel = *GpuChannel::adopt(std::move(ends.second));
    peer.send({1, kReply, 8}, to_bytes(kFeatureEdid));
    REQUIRE(channel.negotiate(~std::uint64_t{0}));
    EdidAnswer answer;
    answer.bytes = bytes;
    peer.send({static_cast<std::uint32_t>(Code::kGetEdid), kReply, sizeof(answer)},
              to_bytes(answer));
    return channel.get_edid(0);
  };
  CHECK(answered(kMaxEdidBytes)->size() == kMaxEdidBytes);
  CHECK(is_error(answered(kMaxEdidBytes + 1), MessageError::kBadReply));
}

TEST_CASE("late answers on the GPU socket answer nothing", "[gpu][hostile]") {
  auto ends = socket_pair();
  RawPeer peer(std::move(ends.first));
  auto channel = *GpuChannel::adopt(std::move(ends.second));
  peer.send({4, kReply, 408}, to_bytes(DisplayInfo{}));
  peer.send({3, kReply, 408}, to_bytes(DisplayInfo{}));
  CHECK(is_error(channel.get_display_info(), MessageError::kBadReply));
  CHECK(is_error(channel.get_display_info(), MessageError::kBadReply));
  CHECK(is_error(channel.hide_cursor({}), MessageError::kBadReply));
}

}  // namespace
}  // namespace vmm::vhost_user::gpu
