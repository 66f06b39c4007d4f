// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/fd_passing.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include "open_fds.h"
#include "vmm/sys_util/event_fd.h"

using namespace vmm;
using namespace vmm::sys_util;

namespace {

struct Sockets {
  UniqueFd sender;
  UniqueFd receiver;
};

Sockets connected(int type) {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::span<const std::byte> as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

bool same_file(int a, int b) {
  struct stat sa = {};
  struct stat sb = {};
  return ::fstat(a, &sa) == 0 && ::fstat(b, &sb) == 0 && sa.st_ino == sb.st_ino &&
         sa.st_dev == sb.st_dev;
}

}  // namespace

TEST_CASE("bytes and descriptors arrive together, close-on-exec") {
  const int type = GENERATE(SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET);
  const Sockets sockets = connected(type);
  const EventFd event = *EventFd::create();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  const UniqueFd writer(ends[1]);
  const std::array fds = {event.fd(), writer.get()};
  REQUIRE(*send_with_fds(sockets.sender.get(), as_bytes("hello"), fds) == 5);

  std::array<std::byte, 16> bytes{};
  std::array<UniqueFd, 4> received;
  const ReceivedMessage message = *receive_with_fds(sockets.receiver.get(), bytes, received);
  REQUIRE(message.bytes == 5);
  REQUIRE(std::memcmp(bytes.data(), "hello", 5) == 0);
  REQUIRE(message.fds == 2);
  for (std::size_t i = 0; i < 2; ++i) {
    REQUIRE((::fcntl(received[i].get(), F_GETFD) & FD_CLOEXEC) != 0);
  }
  REQUIRE_FALSE(received[2]);
  REQUIRE(EventFd::adopt(std::move(received[0])).add(9).has_value());
  REQUIRE(*event.take() == 9);
  REQUIRE(same_file(received[1].get(), writer.get()));
}

TEST_CASE("a message is gathered and scattered") {
  const Sockets sockets = connected(SOCK_STREAM);
  const std::array<std::span<const std::byte>, 2> out = {as_bytes("head"), as_bytes("body!")};
  REQUIRE(*send_with_fds(sockets.sender.get(), out, {}) == 9);
  std::array<std::byte, 6> first{};
  std::array<std::byte, 6> second{};
  const std::array<std::span<std::byte>, 2> in = {first, second};
  const ReceivedMessage message = *receive_with_fds(sockets.receiver.get(), in, {});
  REQUIRE(message.bytes == 9);
  REQUIRE(message.fds == 0);
  REQUIRE(std::memcmp(first.data(), "headbo", 6) == 0);
  REQUIRE(std::memcmp(second.data(), "dy!", 3) == 0);
}

TEST_CASE("a datagram may carry a descriptor and no byte") {
  const Sockets sockets = connected(SOCK_DGRAM);
  const EventFd event = *EventFd::create();
  const std::array fds = {event.fd()};
  REQUIRE(*send_with_fds(sockets.sender.get(), std::span<const std::byte>(), fds) == 0);
  std::array<UniqueFd, 1> received;
  const auto message = receive_with_fds(sockets.receiver.get(), std::span<std::byte>(), received);
  REQUIRE(message->fds == 1);
  REQUIRE(received[0]);
}

TEST_CASE("more descriptors than fit are an error and none stays open", "[hostile]") {
  const std::size_t room = GENERATE(0u, 1u, 2u, 3u);
  const int type = GENERATE(SOCK_STREAM, SOCK_DGRAM);
  const Sockets sockets = connected(type);
  const EventFd event = *EventFd::create();
  const std::array fds = {event.fd(), event.fd(), event.fd(), event.fd()};
  const std::size_t before = open_fds();
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("x"), fds).has_value());
  std::array<std::byte, 1> bytes{};
  std::vector<UniqueFd> received(room);
  const auto message = receive_with_fds(sockets.receiver.get(), bytes, received);
  REQUIRE(message.error().is_os(EOVERFLOW));
  for (const UniqueFd& fd : received) REQUIRE_FALSE(fd);
  REQUIRE(open_fds() == before);
}

TEST_CASE("a datagram longer than the buffer is an error and its descriptors are closed",
          "[hostile]") {
  const Sockets sockets = connected(SOCK_SEQPACKET);
  const EventFd event = *EventFd::create();
  const std::array fds = {event.fd()};
  const std::size_t before = open_fds();
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("four"), fds).has_value());
  std::array<std::byte, 3> bytes{};
  std::array<UniqueFd, 1> received;
  const auto message = receive_with_fds(sockets.receiver.get(), bytes, received);
  REQUIRE(message.error().is_os(EMSGSIZE));
  REQUIRE(open_fds() == before);
}

TEST_CASE("descriptors are found behind other control messages") {
  const Sockets sockets = connected(SOCK_STREAM);
  const int on = 1;
  REQUIRE(::setsockopt(sockets.receiver.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
  const EventFd event = *EventFd::create();
  const std::array fds = {event.fd(), event.fd()};
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("x"), fds).has_value());
  std::array<std::byte, 1> bytes{};
  std::array<UniqueFd, 2> received;
  REQUIRE(receive_with_fds(sockets.receiver.get(), bytes, received)->fds == 2);
  REQUIRE(received[1]);
}

TEST_CASE("as many descriptors as the kernel allows pass, and one more is refused") {
  const Sockets sockets = connected(SOCK_STREAM);
  const EventFd event = *EventFd::create();
  std::vector<int> fds(kMaxPassedFds, event.fd());
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("x"), fds).has_value());
  std::array<std::byte, 1> bytes{};
  std::vector<UniqueFd> received(kMaxPassedFds);
  REQUIRE(receive_with_fds(sockets.receiver.get(), bytes, received)->fds == kMaxPassedFds);
  fds.push_back(event.fd());
  received.emplace_back();
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("x"), fds).error().is_os(EINVAL));
  REQUIRE(receive_with_fds(sockets.receiver.get(), bytes, received).error().is_os(EINVAL));
  const std::vector<std::span<const std::byte>> parts(kMaxMessageParts + 1);
  REQUIRE(send_with_fds(sockets.sender.get(), parts, {}).error().is_os(EINVAL));
}

TEST_CASE("a peer that went away is an error when sending and the end when receiving") {
  Sockets sockets = connected(SOCK_STREAM);
  sockets.receiver.reset();
  REQUIRE(send_with_fds(sockets.sender.get(), as_bytes("x"), {}).error().is_os(EPIPE));
  std::array<std::byte, 1> bytes{};
  REQUIRE(receive_with_fds(sockets.sender.get(), bytes, {})->bytes == 0);
}

TEST_CASE("nothing to receive yet is told apart from the end") {
  const Sockets sockets = connected(SOCK_STREAM | SOCK_NONBLOCK);
  std::array<std::byte, 1> bytes{};
  REQUIRE(receive_with_fds(sockets.receiver.get(), bytes, {}).error().is_os(EAGAIN));
}
