// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a connection fails once, or does half of its work: messages come whole and once,
// or the call says why not; no descriptor is left. What the kernel lacks for a moment is waited
// for. Each mapping of what came with a message fails once, too.

#include <cerrno>
#include <string>

#include "faulty_calls.h"
#include "raw_peer.h"
#include "vmm/vhost_user/dirty_log.h"
#include "vmm/vhost_user/inflight_memory.h"
#include "vmm/vhost_user/memory_table.h"

namespace vmm::vhost_user {
namespace {

constexpr std::chrono::milliseconds kPatience{30'000};
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

namespace {

constexpr std::uint64_t kPage = 4096;

/// Two regions of a front end, `base` pages from address 0.
std::vector<request::RegionFile> regions_at(std::uint64_t base, int fd) {
  std::vector<request::RegionFile> files;
  for (const std::uint64_t i : {0u, 8u}) {
    files.push_back({.region = {.guest_address = (base + i) * kPage,
                                .bytes = 4 * kPage,
                                .user_address = (base + i) * kPage,
                                .mmap_offset = 0},
                     .fd = UniqueFd(::dup(fd))});
  }
  return files;
}

}  // namespace

TEST_CASE("memory of a front end that cannot be mapped says so, and all is as before",
          "[memory][faults]") {
  if (!faulty_calls::kMakersFail) return;  // under ThreadSanitizer
  const sys_util::MemFd file = *sys_util::MemFd::create(8 * kPage);
  const std::size_t before = open_fds();
  const auto mapped = faulty_calls::mapped_bytes();
  {
    MemoryTable table;
    REQUIRE(table.set(regions_at(0, file.fd())));
    const auto in_use = faulty_calls::mapped_bytes();
    for (std::uint64_t nth = 1;; ++nth) {
      CAPTURE(nth);
      faulty_calls::arm({.nth = nth, .error = ENOMEM, .calls = faulty_calls::kMap});
      const auto done = table.set(regions_at(100, file.fd()));
      const bool failed = faulty_calls::disarm();
      REQUIRE(done.has_value() == !failed);
      CHECK(faulty_calls::mapped_bytes() == in_use);
      CHECK(table.to_guest((failed ? 0 : 100) * kPage, 4 * kPage).has_value());
      CHECK_FALSE(table.to_guest((failed ? 100 : 0) * kPage, 4 * kPage).has_value());
      if (!failed) {
        CHECK(nth == 3);
        break;
      }
      CHECK(done.error().is_os(ENOMEM));
    }
  }
  CHECK(open_fds() == before);
  CHECK(faulty_calls::mapped_bytes() == mapped);
}

TEST_CASE("a log or memory of requests in flight that cannot be mapped says so, and is closed",
          "[log][inflight][faults]") {
  if (!faulty_calls::kMakersFail) return;  // under ThreadSanitizer
  const sys_util::MemFd file = *sys_util::MemFd::create(8 * kPage);
  const std::size_t before = open_fds();
  const auto mapped = faulty_calls::mapped_bytes();
  const auto fails = [](const auto& make) {
    faulty_calls::arm({.error = ENOMEM, .calls = faulty_calls::kMap | faulty_calls::kOpen});
    const auto made = make();
    CHECK(faulty_calls::disarm());
    return !made && made.error().is_os(ENOMEM);
  };
  const auto area = (*InflightMemory::create(2, 16, false)).area();
  CHECK(fails([] { return InflightMemory::create(2, 16, false); }));
  CHECK(fails([&] { return InflightMemory::open(area, UniqueFd(::dup(file.fd())), false); }));
  CHECK(fails([&] {
    const UniqueFd fd(::dup(file.fd()));
    return DirtyLog::map({.bytes = kPage, .mmap_offset = 0}, fd);
  }));
  CHECK(open_fds() == before);
  CHECK(faulty_calls::mapped_bytes() == mapped);
}

}  // namespace vmm::vhost_user
