// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a conversation fails once, or does half of its work: commands come whole and
// once, or the call says why not and the conversation is over; no descriptor is left. What the
// kernel lacks for a moment is waited for.

#include <cerrno>

#include "faulty_calls.h"
#include "raw_peer.h"
#include "vmm/sys_util/mem_fd.h"
#include "vmm/vfio_user/channel.h"

namespace vmm::vfio_user {
namespace {

constexpr Channel::Milliseconds kPatience{30'000};
constexpr int kCommands = 4;

/// Sends commands with data and descriptors one after another and takes each from the other end;
/// how many came before something failed.
int converse(Channel& from, Channel& to, const std::vector<int>& fds) {
  for (int i = 0; i < kCommands; ++i) {
    const Bytes data(static_cast<std::size_t>(40 + 8 * i), static_cast<std::byte>(i + 1));
    const auto count = static_cast<std::size_t>(i % 3);
    const Body body{.fixed = {}, .data = data, .fds = std::span(fds).first(count)};
    if (!from.post(Command::kReset, body)) {
      CHECK(from.over());
      return i;
    }
    const auto got = to.wait(kPatience);
    if (!got) {
      CHECK(to.over());
      return i;
    }
    REQUIRE(*got == Channel::Event::kMessage);
    const Message message = to.message();
    REQUIRE(message.command() == Command::kReset);
    REQUIRE(Bytes(message.payload.begin(), message.payload.end()) == data);
    REQUIRE(message.fds.size() == count);
    for (const UniqueFd& fd : message.fds) REQUIRE(static_cast<bool>(fd));
  }
  return kCommands;
}

TEST_CASE("each transfer of a conversation that fails is told, or made up for",
          "[channel][faults]") {
  const auto error =
      GENERATE(0, EINTR, EAGAIN, EIO, ENOMEM, ENOBUFS, ETOOMANYREFS, ECONNRESET, EPIPE);
  const sys_util::MemFd file = *sys_util::MemFd::create(4096);
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    const std::size_t before = open_fds();
    bool failed = false;
    {
      auto [one, two] = socket_pair();
      auto from = *Channel::adopt(std::move(one));
      auto to = *Channel::adopt(std::move(two));
      faulty_calls::arm({.nth = nth, .error = error});
      const int came = converse(from, to, {file.fd(), file.fd()});
      failed = faulty_calls::disarm();
      const bool shortage = error == ENOMEM || error == ENOBUFS || error == ETOOMANYREFS;
      const bool passes = error == 0 || error == EINTR || error == EAGAIN || !failed ||
                          (shortage && faulty_calls::failed_call() == faulty_calls::kSend);
      CHECK((came == kCommands) == passes);
    }
    CHECK(open_fds() == before);
    if (!failed) {
      CHECK(nth > 2 * kCommands);
      break;
    }
  }
}

}  // namespace
}  // namespace vmm::vfio_user
