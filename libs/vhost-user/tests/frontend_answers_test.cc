// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a front end makes of the answers that it gets, or does not get.

#include <sys/socket.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <thread>

#include "scripted_back_end.h"
#include "vmm/vhost_user/frontend.h"

namespace vmm::vhost_user {
namespace {

using Code = FrontendCode;

TEST_CASE("answers that do not fit end the conversation", "[frontend][hostile]") {
  const Bytes number = to_bytes(std::uint64_t{0});
  const auto refuses = [](auto prepare) {
    Scripted rig;
    rig.agree(kNoAck);
    prepare(rig);
    const auto got = rig.frontend->get_queue_num();
    REQUIRE_FALSE(got);
    CHECK(rig.frontend->broken());
    const auto again = rig.frontend->set_vring_num(0, 1);
    return is(got.error(), MessageError::kBadReply) && !again &&
           is(again.error(), MessageError::kBadReply);
  };
  CHECK(refuses([&](Scripted& rig) { rig.answer(Code::kGetFeatures, number); }));
  CHECK(refuses([&](Scripted& rig) { rig.answer(Code::kGetQueueNum, number, 0, kVersion); }));
  CHECK(refuses([&](Scripted& rig) { rig.answer(Code::kGetQueueNum, Bytes(7)); }));
  CHECK(refuses([&](Scripted& rig) { rig.answer(Code::kGetQueueNum, {}); }));
  Scripted gone;
  gone.agree(kNoAck);
  gone.peer.close();
  CHECK_FALSE(gone.frontend->get_queue_num());
  CHECK(gone.frontend->broken());
}

TEST_CASE("a back end that says no more is lost", "[frontend][hostile]") {
  Scripted rig;
  rig.agree(kNoAck);
  REQUIRE(::shutdown(rig.peer.fd(), SHUT_WR) == 0);
  CHECK(is(rig.frontend->get_queue_num().error(), MessageError::kPartial));
  CHECK(rig.frontend->broken());
}

TEST_CASE("a back end without protocol features is not asked for any", "[frontend]") {
  auto ends = socket_pair();
  RawPeer peer(std::move(ends.first));
  peer.send({.request = 1, .flags = kVersion | kReply, .size = 8}, to_bytes(std::uint64_t{1}));
  Frontend frontend = *Frontend::create(*Connection::adopt(std::move(ends.second)));
  CHECK(peer.receive()->header.request == 1);
  CHECK(peer.receive()->header.request == 3);
  CHECK(frontend.negotiate(~std::uint64_t{0}));
  CHECK_FALSE(peer.receive());
  CHECK_FALSE(frontend.has(ProtocolFeature::kMq));
}

TEST_CASE("values of answers that cannot be end the conversation", "[frontend][hostile]") {
  Scripted rig;
  rig.agree(kNoAck);
  SECTION("another queue's base") {
    rig.answer(Code::kGetVringBase, to_bytes(VringState{1, 7}));
    CHECK(*rig.frontend->get_vring_base(1) == 7);
    rig.answer(Code::kGetVringBase, to_bytes(VringState{0, 7}));
    CHECK(is(rig.frontend->get_vring_base(1).error(), MessageError::kBadReply));
  }
  SECTION("a status of 9 bits") {
    rig.answer(Code::kGetStatus, to_bytes(std::uint64_t{0xff}));
    CHECK(*rig.frontend->get_status() == 0xff);
    rig.answer(Code::kGetStatus, to_bytes(std::uint64_t{0x100}));
    CHECK(is(rig.frontend->get_status().error(), MessageError::kBadReply));
  }
  CHECK(rig.frontend->broken());
}

TEST_CASE("what a back end could not do is refused", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  rig.answer(Code::kSetLogBase, to_bytes(std::uint64_t{1}));
  CHECK(is(rig.frontend->set_log_base({.bytes = 1}, rig.peer.file()).error(),
           MessageError::kRefused));
  rig.answer(Code::kGetInflightFd, to_bytes(InflightArea{}), 1);
  CHECK(is(rig.frontend->get_inflight(1, 1).error(), MessageError::kRefused));
  CHECK_FALSE(rig.frontend->broken());
}

TEST_CASE("a back end says where it has each region, and of no other one", "[frontend][hostile]") {
  const MemoryRegion regions[] = {{.guest_address = 0, .bytes = 4096, .user_address = 1},
                                  {.guest_address = 8192, .bytes = 4096, .user_address = 2}};
  struct Case {
    MemoryRegion second;
    bool good;
  };
  for (const Case& one : {Case{{.guest_address = 8192, .bytes = 4096, .user_address = 7}, true},
                          Case{{.guest_address = 0, .bytes = 4096, .user_address = 7}, false},
                          Case{{.guest_address = 8192, .bytes = 8192, .user_address = 7}, false}}) {
    Scripted rig;
    rig.agree(kNoAck);
    const MemoryRegion first{.guest_address = 0, .bytes = 4096, .user_address = 6};
    rig.answer(Code::kSetMemTable,
               to_bytes(MemoryTableHeader{2, 0}) + to_bytes(first) + to_bytes(one.second));
    const std::array<int, 2> fds{rig.peer.file(), rig.peer.file()};
    std::vector<std::uint64_t> bases;
    const auto set = rig.frontend->set_mem_table_for_postcopy(
        regions, fds, [&](std::span<const MemoryRegion> there) -> Result<void> {
          for (const MemoryRegion& region : there) bases.push_back(region.user_address);
          return {};
        });
    CHECK(set.has_value() == one.good);
    CHECK(bases == (one.good ? std::vector<std::uint64_t>{6, 7} : std::vector<std::uint64_t>{}));
    if (!set) CHECK(is(set.error(), MessageError::kBadReply));
    CHECK(rig.frontend->broken() == !one.good);
  }
}

TEST_CASE("more queues than a transport has end the conversation", "[frontend][hostile]") {
  for (const auto count : {std::uint64_t{0x8000}, std::uint64_t{0x8001}}) {
    Scripted rig;
    rig.agree(kNoAck);
    rig.answer(Code::kGetQueueNum, to_bytes(count));
    CHECK(rig.frontend->get_queue_num().has_value() == (count == 0x8000));
    CHECK(rig.frontend->broken() == (count != 0x8000));
  }
}

TEST_CASE("an answer with another part of the configuration space than that asked for ends all",
          "[frontend][hostile]") {
  struct Case {
    const char* what;
    Bytes payload;
    Code code = Code::kGetConfig;
    std::size_t fds = 0;
    std::uint32_t flags = kVersion | kReply;
  };
  const auto part = [](std::uint32_t bytes, std::size_t there) {
    return to_bytes(ConfigHeader{.offset = 8, .bytes = bytes}) + Bytes(there, std::byte{9});
  };
  const Case cases[] = {
      {"another question's", part(4, 4), Code::kSetConfig},
      {"no answer", part(4, 4), Code::kGetConfig, 0, kVersion},
      {"a descriptor", part(4, 4), Code::kGetConfig, 1},
      {"half a header", Bytes(11)},
      {"less than it says", part(4, 3)},
      {"more than it says", part(4, 5)},
      {"more than was asked for", part(8, 8)},
      {"less than was asked for", part(3, 3)},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Scripted rig;
    rig.agree(kNoAck);
    rig.answer(one.code, one.payload, one.fds, one.flags);
    std::array<std::byte, 4> config{};
    CHECK(is(rig.frontend->get_config(8, config).error(), MessageError::kBadReply));
    CHECK(rig.frontend->broken());
  }
}

TEST_CASE("after the limit nothing is sent, even if it needs no answer", "[frontend]") {
  Scripted rig;
  rig.agree(kNoAck);
  rig.frontend->limit(std::chrono::milliseconds(0));
  CHECK(rig.frontend->set_vring_num(0, 8).error().is_os(ETIMEDOUT));
  CHECK(rig.frontend->broken());
  CHECK_FALSE(rig.peer.receive());
}

void ignore(int) {}

/// A front end that waits while something else may be readable.
struct Waiting : Scripted {
  Waiting() {
    agree(kNoAck);
    frontend->limit(std::chrono::seconds(60));
    frontend->set_meanwhile({.fd = bell.second.get(), .serve = [this] {
                               char rung = 0;
                               (void)::recv(bell.second.get(), &rung, 1, MSG_DONTWAIT);
                               if (++served == 2)
                                 answer(Code::kGetQueueNum, to_bytes(std::uint64_t{3}));
                               return served < 5;
                             }});
  }
  void ring() const { (void)::send(bell.first.get(), "!", 1, MSG_NOSIGNAL); }

  std::pair<UniqueFd, UniqueFd> bell = socket_pair();
  int served = 0;
};

TEST_CASE("what is asked for before the answer is done as often as that", "[frontend]") {
  Waiting rig;
  rig.ring();
  rig.ring();
  const auto count = rig.frontend->get_queue_num();
  REQUIRE(count);
  CHECK(*count == 3);
  CHECK(rig.served == 2);
}

TEST_CASE("where nothing is asked for before the answer, nothing is done", "[frontend]") {
  Waiting rig;
  rig.frontend->limit(std::chrono::milliseconds(30));
  CHECK(rig.frontend->get_queue_num().error().is_os(ETIMEDOUT));
  CHECK(rig.served == 0);
}

TEST_CASE("a back end that asks without an end gets no more time by that", "[frontend][hostile]") {
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::seconds kLong{20};
  Waiting rig;
  rig.ring();
  const auto begun = Clock::now();
  rig.frontend->set_meanwhile(
      {.fd = rig.bell.second.get(), .serve = [begun] { return Clock::now() < begun + kLong; }});
  rig.frontend->limit(std::chrono::milliseconds(30));
  CHECK(rig.frontend->get_queue_num().error().is_os(ETIMEDOUT));
  CHECK(Clock::now() < begun + kLong);
}

TEST_CASE("a signal does not end waiting for either", "[frontend]") {
  struct sigaction action = {};
  action.sa_handler = &ignore;  // without SA_RESTART
  struct sigaction before = {};
  REQUIRE(::sigaction(SIGUSR1, &action, &before) == 0);
  Waiting rig;
  const pthread_t self = ::pthread_self();
  std::thread other([&] {
    for (int i = 0; i < 20; ++i) {
      ::pthread_kill(self, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    rig.ring();
    rig.ring();
  });
  const auto count = rig.frontend->get_queue_num();
  other.join();
  ::sigaction(SIGUSR1, &before, nullptr);
  CHECK(count);
  CHECK(rig.served == 2);
}

TEST_CASE("a conversation has one limit, whatever each answer takes", "[frontend][hostile]") {
  using Clock = std::chrono::steady_clock;
  Scripted rig;
  rig.agree(kNoAck);
  rig.answer(Code::kGetQueueNum, to_bytes(std::uint64_t{1}));  // the first is in time
  const auto begin = Clock::now();
  rig.frontend->limit(std::chrono::milliseconds(1500));
  // Always another answer, and always a little late. Nothing is asserted on this thread, as the
  // other one does.
  const Bytes answer = to_bytes(Header{.request = static_cast<std::uint32_t>(Code::kGetQueueNum),
                                       .flags = kVersion | kReply,
                                       .size = sizeof(std::uint64_t)}) +
                       to_bytes(std::uint64_t{1});
  std::atomic<bool> over{false};
  std::thread slow([&] {
    while (!over) {
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      Bytes asked(4096);  // or there is no room for more in the end
      while (::recv(rig.peer.fd(), asked.data(), asked.size(), MSG_DONTWAIT) > 0) continue;
      (void)::send(rig.peer.fd(), answer.data(), answer.size(), MSG_NOSIGNAL);
    }
  });
  Result<std::uint64_t> last = rig.frontend->get_queue_num();
  const bool in_time = last.has_value();
  while (last && Clock::now() - begin < std::chrono::seconds(20)) {
    last = rig.frontend->get_queue_num();
  }
  over = true;
  slow.join();
  CHECK(in_time);
  REQUIRE_FALSE(last);
  CHECK(last.error().is_os(ETIMEDOUT));
  CHECK(rig.frontend->broken());
}

}  // namespace
}  // namespace vmm::vhost_user
