// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a connection fails once, or does half of its work: messages come whole and once,
// or the call says why not; no descriptor is left. What the kernel lacks for a moment is waited
// for.

#include <cerrno>
#include <string>

#include "faulty_calls.h"
#include "raw_peer.h"

namespace vmm::vhost_user {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};
constexpr int kMessages = 4;

/// Sends messages with payload and descriptors one after another and takes each from the other end;
/// how many came before something failed.
int converse(Connection& from, Connection& to, const std::vector<int>& fds) {
  for (int i = 0; i < kMessages; ++i) {
    const Bytes payload(static_cast<std::size_t>(40 + 8 * i), static_cast<std::byte>(i + 1));
    const Header header{.request = static_cast<std::uint32_t>(i + 1),
                        .flags = kVersion,
                        .size = static_cast<std::uint32_t>(payload.size())};
    if (!from.send(header, payload, std::span(fds).first(static_cast<std::size_t>(i % 3)))) {
      return i;
    }
    const auto got = to.wait(kPatience);
    if (!got) return i;
    REQUIRE(*got == Connection::Event::kMessage);
    const Message message = to.message();
    REQUIRE(message.header == header);
    REQUIRE(Bytes(message.payload.begin(), message.payload.end()) == payload);
    REQUIRE(message.fds.size() == static_cast<std::size_t>(i % 3));
    for (const UniqueFd& fd : message.fds) REQUIRE(static_cast<bool>(fd));
  }
  return kMessages;
}

}  // namespace

TEST_CASE("each transfer of a connection that fails is told, or made up for", "[faults]") {
  const auto error =
      GENERATE(0, EINTR, EAGAIN, EIO, ENOMEM, ENOBUFS, ETOOMANYREFS, ECONNRESET, EPIPE);
  const sys_util::MemFd file = *sys_util::MemFd::create(4096);
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    const std::size_t before = open_fds();
    bool failed = false;
    {
      auto [one, two] = socket_pair();
      auto from = *Connection::adopt(std::move(one));
      auto to = *Connection::adopt(std::move(two));
      faulty_calls::arm({.nth = nth, .error = error});
      const int came = converse(from, to, {file.fd(), file.fd()});
      failed = faulty_calls::disarm();
      const bool shortage = error == ENOMEM || error == ENOBUFS || error == ETOOMANYREFS;
      const bool passes = error == 0 || error == EINTR || error == EAGAIN || !failed ||
                          (shortage && faulty_calls::failed_call() == faulty_calls::kSend);
      CHECK((came == kMessages) == passes);
    }
    CHECK(open_fds() == before);
    if (!failed) {
      CHECK(nth > 2 * kMessages);
      break;
    }
  }
}

}  // namespace vmm::vhost_user
