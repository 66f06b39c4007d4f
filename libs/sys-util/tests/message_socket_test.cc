// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/message_socket.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

#include "fd_pairs.h"
#include "open_fds.h"
#include "vmm/base/payload.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/fd_passing.h"

namespace vmm::sys_util {
namespace {

using Event = MessageSocket::Event;
using Milliseconds = MessageSocket::Milliseconds;

constexpr std::uint32_t kMost = 1 << 20;
constexpr Milliseconds kPatience{60'000};

// The header is the number of bytes that follow.
MessageSocket adopt(UniqueFd fd) {
  auto socket = MessageSocket::adopt(
      std::move(fd),
      {.header_bytes = 4,
       .max_fds = 3,
       .payload_bytes = [](std::span<const std::byte> header) -> Result<std::size_t> {
         const auto bytes = *exactly_as<std::uint32_t>(header);
         if (bytes > kMost) return fail(Error::os(EMSGSIZE, "test"));
         return std::size_t{bytes};
       }});
  REQUIRE(socket);
  return std::move(*socket);
}

TEST_CASE("messages of any length go through, in order", "[message_socket]") {
  auto ends = socket_pair();
  MessageSocket from = adopt(std::move(ends.first));
  MessageSocket to = adopt(std::move(ends.second));
  const std::uint32_t lengths[] = {0, 1, 65535, 65536, 65537, kMost, 5};
  std::thread sender([&] {
    for (const std::uint32_t length : lengths) {
      const std::vector<std::byte> payload(length, static_cast<std::byte>(length));
      (void)from.send(bytes_of(length), payload, {}, kPatience);
    }
  });
  for (const std::uint32_t length : lengths) {
    CAPTURE(length);
    const auto event = to.wait(kPatience);
    CHECK((event && *event == Event::kMessage));
    CHECK(*exactly_as<std::uint32_t>(to.header()) == length);
    REQUIRE(to.payload().size() == length);
    CHECK((length == 0 || to.payload().back() == static_cast<std::byte>(length)));
  }
  sender.join();
}

TEST_CASE("a peer that goes on a little at a time gets no more time by that",
          "[message_socket][hostile]") {
  constexpr Milliseconds kShort{50};
  auto ends = socket_pair();
  MessageSocket ours = adopt(std::move(ends.second));
  std::atomic<bool> end = false;
  std::thread peer;
  SECTION("with what it sends") {
    REQUIRE(send_with_fds(ends.first.get(), bytes_of(kMost), {}));
    // Or it may wait for room for ever, when nobody reads any more.
    REQUIRE(::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK) == 0);
    peer = std::thread([&] {
      const std::byte byte{};
      for (; !end; std::this_thread::sleep_for(Milliseconds(1))) {
        (void)send_with_fds(ends.first.get(), std::span(&byte, 1), {});
      }
    });
    CHECK(ours.wait(kShort).error().is_os(ETIMEDOUT));
  }
  SECTION("with what it takes") {
    REQUIRE(::fcntl(ends.first.get(), F_SETFL, O_NONBLOCK) == 0);
    peer = std::thread([&] {
      std::array<std::byte, 256> bytes;
      for (; !end; std::this_thread::sleep_for(Milliseconds(1))) {
        (void)receive_with_fds(ends.first.get(), std::span(bytes), {});
      }
    });
    const std::vector<std::byte> payload(kMost);
    CHECK(ours.send(bytes_of(kMost), payload, {}, kShort).error().is_os(ETIMEDOUT));
  }
  end = true;
  peer.join();
}

TEST_CASE("what is wrong with a stream of messages is told, and nothing stays open",
          "[message_socket][hostile]") {
  const auto event = EventFd::create();
  const std::vector<int> fds(4, event->fd());
  const std::uint32_t two = 2;
  const std::size_t before = open_fds();
  {
    auto ends = socket_pair();
    MessageSocket to = adopt(std::move(ends.second));
    REQUIRE(send_with_fds(ends.first.get(), bytes_of(two), std::span(fds).first(3)));
    CHECK(*to.receive() == Event::kNothing);  // the payload is missing
    CHECK(to.fds().size() == 3);
    ends.first.reset();
    CHECK(to.receive().error().is_os(ENODATA));
  }
  {
    auto ends = socket_pair();
    MessageSocket to = adopt(std::move(ends.second));
    REQUIRE(send_with_fds(ends.first.get(), bytes_of(two), fds));
    CHECK(to.receive().error().is_os(EOVERFLOW));
  }
  {
    auto ends = socket_pair();
    MessageSocket to = adopt(std::move(ends.second));
    const std::uint32_t length = kMost + 1;
    REQUIRE(send_with_fds(ends.first.get(), bytes_of(length), std::span(fds).first(1)));
    CHECK(to.receive().error().is_os(EMSGSIZE));
  }
  {
    auto ends = socket_pair();
    MessageSocket to = adopt(std::move(ends.second));
    CHECK(to.wait(Milliseconds(1)).error().is_os(ETIMEDOUT));
    ends.first.reset();
    CHECK(*to.wait(kPatience) == Event::kClosed);
    CHECK(to.send(bytes_of(two), {}, {}, kPatience).error().is_os(EPIPE));
  }
  CHECK(open_fds() == before);
}

}  // namespace
}  // namespace vmm::sys_util
