// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/channel.h"

#include <cerrno>

#include "raw_peer.h"

namespace vmm::vfio_user {
namespace {

using Event = Channel::Event;

constexpr Channel::Milliseconds kPatience{30'000};

struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.first)), channel(*Channel::adopt(std::move(ends.second))) {}

  RawPeer peer;
  Channel channel;
};

TEST_CASE("a command and its answer", "[channel]") {
  Rig rig;
  rig.peer.send(Command::kReset, to_bytes(std::uint32_t{9}), 2, 0, 77);
  REQUIRE(*rig.channel.receive() == Event::kMessage);
  const Message command = rig.channel.message();
  CHECK(command.command() == Command::kReset);
  CHECK(exactly_as<std::uint32_t>(command.payload) == 9);
  CHECK(command.fds.size() == 2);

  const std::uint64_t fixed = 5;
  const Bytes data(3, std::byte{1});
  REQUIRE(rig.channel.reply(command.header, {.fixed = bytes_of(fixed), .data = data, .fds = {}}));
  const auto answer = rig.peer.receive();
  REQUIRE(answer);
  CHECK(answer->header == Header{.id = 77, .command = 13, .bytes = 27, .flags = 1, .error = 0});
  CHECK(answer->payload == to_bytes(fixed) + data);

  REQUIRE(rig.channel.reply_error(command.header, Error::os(EBUSY, "test")));
  const auto refusal = rig.peer.receive();
  CHECK(refusal->header ==
        Header{.id = 77, .command = 13, .bytes = 16, .flags = 0x21, .error = EBUSY});
}

TEST_CASE("a command that wants no answer gets none", "[channel]") {
  Rig rig;
  rig.peer.send(Command::kReset, {}, 0, kNoReply);
  REQUIRE(*rig.channel.receive() == Event::kMessage);
  CHECK(rig.channel.reply(rig.channel.message().header, {}));
  CHECK(rig.channel.reply_error(rig.channel.message().header, UserError::kBadSize));
  CHECK_FALSE(rig.peer.receive());
}

TEST_CASE("headers that nobody sends end the conversation and leave no descriptor",
          "[channel][hostile]") {
  struct Case {
    Header header;
    UserError error;
  };
  const Case cases[] = {
      {{.id = 1, .command = 1, .bytes = 16, .flags = 2, .error = 0}, UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = 0xf, .error = 0}, UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = 0x40, .error = 0}, UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = 0x8000'0000, .error = 0},
       UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = kError, .error = 0}, UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = kReply | kNoReply, .error = 0},
       UserError::kBadHeader},
      {{.id = 1, .command = 1, .bytes = 16, .flags = kReply, .error = 0}, UserError::kBadReply},
      {{.id = 1, .command = 1, .bytes = 0, .flags = 0, .error = 0}, UserError::kTooShort},
      {{.id = 1, .command = 1, .bytes = 15, .flags = 0, .error = 0}, UserError::kTooShort},
      {{.id = 1, .command = 1, .bytes = 17 + kMaxData + kMaxFixed, .flags = 0, .error = 0},
       UserError::kTooLong},
      {{.id = 1, .command = 1, .bytes = 0xffff'ffff, .flags = 0, .error = 0}, UserError::kTooLong},
  };
  for (const Case& one : cases) {
    CAPTURE(one.header.bytes, one.header.flags);
    const std::size_t before = open_fds();
    {
      Rig rig;
      rig.peer.send(one.header, {}, 3);
      CHECK(is_error(rig.channel.receive(), one.error));
      CHECK(rig.channel.over());
      CHECK(is_error(rig.channel.receive(), UserError::kDisconnected));
      CHECK(
          is_error(rig.channel.call(Command::kReset, {}, kPatience, {}), UserError::kDisconnected));
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("too many descriptors are refused and closed", "[channel][hostile]") {
  const std::size_t before = open_fds();
  {
    Rig rig;
    rig.peer.send(Command::kReset, {}, kMaxFds + 1);
    CHECK(is_error(rig.channel.receive(), UserError::kStrayFds));
  }
  {
    Rig rig;
    rig.peer.send_bytes(Bytes(5), {});
    CHECK(*rig.channel.receive() == Event::kNothing);
    rig.peer.send_bytes(Bytes(5), {rig.peer.file()});
    CHECK(is_error(rig.channel.receive(), UserError::kStrayFds));
  }
  CHECK(open_fds() == before);
}

TEST_CASE("a reply is found among commands, which are kept or served", "[channel]") {
  Rig rig;
  rig.peer.send(Command::kDmaRead, to_bytes(std::uint32_t{1}), 1, 0, 5);
  rig.peer.send(Command::kDmaWrite, to_bytes(std::uint32_t{2}), 0, 0, 6);
  rig.peer.send(Command::kReset, to_bytes(std::uint32_t{3}), 0, kReply, 0);
  const auto reply = rig.channel.call(Command::kReset, {}, kPatience, {});
  REQUIRE(reply);
  CHECK(exactly_as<std::uint32_t>(reply->payload) == 3);
  CHECK(rig.channel.has_kept());
  REQUIRE(*rig.channel.receive() == Event::kMessage);
  CHECK(rig.channel.message().command() == Command::kDmaRead);
  CHECK(rig.channel.message().fds.size() == 1);
  REQUIRE(*rig.channel.receive() == Event::kMessage);
  CHECK(exactly_as<std::uint32_t>(rig.channel.message().payload) == 2);
  CHECK(*rig.channel.receive() == Event::kNothing);

  rig.peer.send(Command::kDmaRead);
  rig.peer.send(Command::kReset, {}, 0, kReply, 1);
  int served = 0;
  CHECK(rig.channel.call(Command::kReset, {}, kPatience, [&](const Message& command) {
    ++served;
    return rig.channel.reply(command.header, {});
  }));
  CHECK(served == 1);
}

TEST_CASE("a refusal is an errno value, and not the end", "[channel]") {
  Rig rig;
  std::uint16_t id = 0;
  for (const std::uint32_t error : {0u, 5u, 4095u, 4096u, 0xffff'ffffu}) {
    CAPTURE(error);
    rig.peer.send(
        {.id = id++, .command = 13, .bytes = 16, .flags = kReply | kError, .error = error});
    const auto reply = rig.channel.call(Command::kReset, {}, kPatience, {});
    REQUIRE_FALSE(reply);
    const bool sensible = error != 0 && error <= 4095;
    CHECK(reply.error().is_os(sensible ? static_cast<int>(error) : EIO));
    CHECK_FALSE(rig.channel.over());
  }
}

TEST_CASE("what ends a call ends the conversation", "[channel][hostile]") {
  const auto end = [](auto&& say, Channel::Milliseconds patience = kPatience) {
    Rig rig;
    say(rig.peer);
    auto answer = rig.channel.call(Command::kReset, {}, patience, {});
    CHECK(rig.channel.over());
    return answer;
  };
  CHECK(is_error(end([](RawPeer& peer) { peer.send(Command::kReset, {}, 0, kReply, 1); }),
                 UserError::kBadReply));
  CHECK(is_error(end([](RawPeer& peer) { peer.send(Command::kGetInfo, {}, 0, kReply, 0); }),
                 UserError::kBadReply));
  CHECK(is_error(end([](RawPeer& peer) { peer.close(); }), UserError::kDisconnected));
  CHECK(is_error(end([](RawPeer& peer) {
                   for (int i = 0; i < 65; ++i) peer.send(Command::kDmaRead);
                 }),
                 UserError::kTooMany));
  CHECK(end([](RawPeer&) {}, Channel::Milliseconds(50)).error().is_os(ETIMEDOUT));
  // Its own commands give it no more time.
  Rig busy;
  for (int i = 0; i < 3; ++i) busy.peer.send(Command::kDmaRead);
  busy.peer.send(Command::kReset, {}, 0, kReply, 0);
  CHECK(busy.channel.call(Command::kReset, {}, Channel::Milliseconds(0), {})
            .error()
            .is_os(ETIMEDOUT));
  CHECK(is_error(end([](RawPeer& peer) {
                   peer.send_bytes(Bytes(8));
                   peer.close();
                 }),
                 UserError::kDisconnected));
}

TEST_CASE("a peer that goes within a message is told from one that goes between two",
          "[channel][hostile]") {
  for (const std::size_t sent : {std::size_t{1}, sizeof(Header), sizeof(Header) + 3}) {
    CAPTURE(sent);
    Rig rig;
    const Header header{.id = 1, .command = 13, .bytes = 16 + 4, .flags = 0, .error = 0};
    Bytes bytes = to_bytes(header) + Bytes(4);
    bytes.resize(sent);
    rig.peer.send_bytes(bytes);
    rig.peer.close();
    CHECK(is_error(rig.channel.receive(), UserError::kPartial));
    CHECK(rig.channel.over());
  }
  Rig rig;
  rig.peer.close();
  CHECK(*rig.channel.receive() == Event::kClosed);
}

}  // namespace
}  // namespace vmm::vfio_user
