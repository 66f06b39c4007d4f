// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/connection.h"

#include <cerrno>
#include <string>
#include <thread>

#include "raw_peer.h"

namespace vmm::vhost_user {
namespace {

using Event = Connection::Event;

struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.first)), connection(*Connection::adopt(std::move(ends.second))) {}

  RawPeer peer;
  Connection connection;
};

constexpr Header kHeader{.request = 7, .flags = kVersion, .size = 8};

TEST_CASE("a message arrives in one piece, with its descriptors", "[connection]") {
  Rig rig;
  CHECK(*rig.connection.receive() == Event::kNothing);
  rig.peer.send(kHeader, to_bytes(std::uint64_t{42}), 2);
  REQUIRE(*rig.connection.receive() == Event::kMessage);
  const Message message = rig.connection.message();
  CHECK(message.header == kHeader);
  CHECK(exactly_as<std::uint64_t>(message.payload) == 42);
  CHECK(message.fds.size() == 2);
  CHECK(*rig.connection.receive() == Event::kNothing);
}

TEST_CASE("a message arrives byte by byte", "[connection]") {
  Rig rig;
  const Bytes bytes = to_bytes(kHeader) + to_bytes(std::uint64_t{42});
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    CHECK(*rig.connection.receive() == Event::kNothing);
    rig.peer.send_bytes({bytes[i]}, i == 0 ? 1u : 0u);
  }
  REQUIRE(*rig.connection.receive() == Event::kMessage);
  CHECK(exactly_as<std::uint64_t>(rig.connection.message().payload) == 42);
  CHECK(rig.connection.message().fds.size() == 1);
}

TEST_CASE("several messages arrive at once", "[connection]") {
  Rig rig;
  rig.peer.send({.request = 1, .flags = kVersion, .size = 0}, {}, 1);
  rig.peer.send({.request = 2, .flags = kVersion, .size = 0});
  rig.peer.send(kHeader, to_bytes(std::uint64_t{3}), 2);
  for (const std::size_t fds : {1u, 0u, 2u}) {
    REQUIRE(*rig.connection.receive() == Event::kMessage);
    CHECK(rig.connection.message().fds.size() == fds);
  }
  CHECK(rig.connection.message().header == kHeader);
  CHECK(*rig.connection.receive() == Event::kNothing);
}

TEST_CASE("descriptors that nobody took are closed with the next message", "[connection]") {
  Rig rig;
  const std::size_t before = open_fds();
  rig.peer.send(kHeader, to_bytes(std::uint64_t{0}), 5);
  REQUIRE(*rig.connection.receive() == Event::kMessage);
  CHECK(open_fds() == before + 5);
  const UniqueFd taken = std::move(rig.connection.message().fds[3]);
  CHECK(*rig.connection.receive() == Event::kNothing);
  CHECK(open_fds() == before + 1);
}

TEST_CASE("the end of the stream is told apart from a torn message", "[connection]") {
  const Bytes bytes = to_bytes(kHeader) + to_bytes(std::uint64_t{0});
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CAPTURE(length);
    Rig rig;
    if (length != 0) rig.peer.send_bytes({bytes.begin(), bytes.begin() + static_cast<int>(length)});
    rig.peer.close();
    const auto event = rig.connection.receive();
    if (length == 0) {
      CHECK(*event == Event::kClosed);
    } else {
      REQUIRE_FALSE(event);
      CHECK(is(event.error(), MessageError::kPartial));
    }
  }
}

TEST_CASE("headers that nobody sends are refused, and leave no descriptor",
          "[connection][hostile]") {
  struct Case {
    Header header;
    MessageError error;
  };
  const Case cases[] = {
      {{.request = 1, .flags = 0, .size = 0}, MessageError::kBadVersion},
      {{.request = 1, .flags = 2, .size = 0}, MessageError::kBadVersion},
      {{.request = 1, .flags = 3, .size = 0}, MessageError::kBadVersion},
      {{.request = 1, .flags = kVersion | 0x10, .size = 0}, MessageError::kBadVersion},
      {{.request = 1, .flags = kVersion | 0x8000'0000, .size = 0}, MessageError::kBadVersion},
      {{.request = 1, .flags = kVersion, .size = kMaxPayload + 1}, MessageError::kTooLarge},
      {{.request = 1, .flags = kVersion, .size = 0xffff'ffff}, MessageError::kTooLarge},
  };
  for (const Case& one : cases) {
    CAPTURE(one.header.flags, one.header.size);
    const std::size_t before = open_fds();
    {
      Rig rig;
      rig.peer.send(one.header, {}, 3);
      const auto event = rig.connection.receive();
      REQUIRE_FALSE(event);
      CHECK(is(event.error(), one.error));
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("descriptors where none may be are refused and closed", "[connection][hostile]") {
  const Bytes bytes = to_bytes(kHeader) + to_bytes(std::uint64_t{0});
  for (const std::size_t cut : {1u, 11u, 12u, 13u, 19u}) {
    CAPTURE(cut);
    Rig rig;
    const std::size_t before = open_fds();
    rig.peer.send_bytes({bytes.begin(), bytes.begin() + static_cast<int>(cut)});
    CHECK(*rig.connection.receive() == Event::kNothing);
    rig.peer.send_bytes({bytes.begin() + static_cast<int>(cut), bytes.end()}, 1u);
    const auto event = rig.connection.receive();
    REQUIRE_FALSE(event);
    CHECK(is(event.error(), MessageError::kStrayFds));
    CHECK(open_fds() == before);
  }
}

TEST_CASE("more descriptors than a message may have are refused and closed",
          "[connection][hostile]") {
  for (const std::size_t fds : {kMaxFds, kMaxFds + 1, std::size_t{100}, std::size_t{253}}) {
    CAPTURE(fds);
    Rig rig;
    const std::size_t before = open_fds();
    rig.peer.send({.request = 1, .flags = kVersion, .size = 0}, {}, fds);
    const auto event = rig.connection.receive();
    if (fds == kMaxFds) {
      CHECK(*event == Event::kMessage);
      continue;
    }
    REQUIRE_FALSE(event);
    CHECK(is(event.error(), MessageError::kStrayFds));
    CHECK(open_fds() == before);
  }
}

TEST_CASE("a message is sent with its descriptors", "[connection]") {
  Rig rig;
  const int fd = rig.peer.file();
  REQUIRE(rig.connection.send(kHeader, bytes_of(std::uint64_t{9}), std::span(&fd, 1)));
  const auto answer = rig.peer.receive();
  REQUIRE(answer);
  CHECK(answer->header == kHeader);
  CHECK(answer->number() == 9);
  CHECK(answer->fds.size() == 1);
}

TEST_CASE("a slow reader gets everything", "[connection]") {
  Rig rig;
  constexpr int kMessages = 500;
  const Bytes payload(kMaxPayload, std::byte{0x5a});
  std::size_t total = 0;
  std::thread reader([&] {
    std::array<std::byte, 1000> buffer;
    for (ssize_t got = 1; got > 0; total += static_cast<std::size_t>(got)) {
      got = ::recv(rig.peer.fd(), buffer.data(), buffer.size(), 0);
    }
  });
  for (int i = 0; i < kMessages; ++i) {
    const Header header{.request = 1, .flags = kVersion, .size = kMaxPayload};
    if (!rig.connection.send(header, payload, {})) break;
  }
  ::shutdown(rig.connection.fd(), SHUT_WR);
  reader.join();
  CHECK(total == kMessages * (kMaxPayload + sizeof(Header)));
}

TEST_CASE("a peer that has gone is an error, not a signal", "[connection]") {
  Rig rig;
  rig.peer.close();
  const auto sent = rig.connection.send({.request = 1, .flags = kVersion, .size = 0}, {}, {});
  REQUIRE_FALSE(sent);
  CHECK(sent.error().is_os(EPIPE));
}

TEST_CASE("waiting for a silent peer ends", "[connection]") {
  Rig rig;
  const auto event = rig.connection.wait(Connection::Milliseconds(10));
  REQUIRE_FALSE(event);
  CHECK(event.error().is_os(ETIMEDOUT));
  rig.peer.send({.request = 1, .flags = kVersion, .size = 0});
  CHECK(*rig.connection.wait(Connection::Milliseconds(10'000)) == Event::kMessage);
}

}  // namespace
}  // namespace vmm::vhost_user
