// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each transfer of a network device fails once. Packets may be lost, as networks lose them; no
// buffer is, and the device goes on.

#include <catch2/catch.hpp>
#include <cerrno>
#include <map>
#include <vector>

#include "faulty_calls.h"
#include "net_fixture.h"
#include "open_fds.h"

namespace vmm::virtio_net {
namespace {

constexpr int kPackets = 6;
constexpr std::size_t kPacketBytes = 200;

/// How many packets of six came over, each way.
struct Came {
  int to_host = 0;
  int to_guest = 0;
};

/// Which packet it is; -1: none that comes after the last one. Packets come in order and whole.
int number_of(const Bytes& packet, int last, int end) {
  for (int i = last + 1; i < end; ++i) {
    if (packet == pattern(kPacketBytes, static_cast<std::uint8_t>(i))) return i;
  }
  return -1;
}

/// Six packets each way, one after another. No two are the same, as one may come late.
class Traffic {
 public:
  explicit Traffic(NetRig& rig) : rig_(rig) { give_room(rig.room(kRoomBytes)); }

  Came play() {
    Came came;
    const int first = end_;
    end_ += kPackets;
    for (int i = first; i < end_; ++i) {
      const Bytes got = to_host(packet_of(i));
      if (got.empty()) continue;
      ++came.to_host;
      REQUIRE((at_host_ = number_of(got, at_host_, end_)) >= 0);
    }
    for (int i = first; i < end_; ++i) {
      for (const Bytes& got : to_guest(packet_of(i))) {
        ++came.to_guest;
        REQUIRE((at_guest_ = number_of(got, at_guest_, end_)) >= 0);
      }
    }
    return came;
  }

 private:
  static constexpr std::uint32_t kRoomBytes = 1600;

  static Bytes packet_of(int number) {
    return pattern(kPacketBytes, static_cast<std::uint8_t>(number));
  }
  void give_room(GuestAddress at) {
    rig_.offer(0, {{.address = at, .length = kRoomBytes, .device_writable = true}});
    rooms_[rig_.last_token] = at;
  }
  Bytes to_host(const Bytes& packet) {
    rig_.transmit({}, packet);
    rig_.run();
    REQUIRE(rig_.reap(1) == NetRig::Used{.token = rig_.last_token, .written = 0});
    const faulty_calls::Pause pause;
    return rig_.host_receive();
  }
  /// What came, which may be one that waited.
  std::vector<Bytes> to_guest(const Bytes& packet) {
    {
      const faulty_calls::Pause pause;
      REQUIRE(::send(rig_.host[0].get(), packet.data(), packet.size(), MSG_NOSIGNAL) ==
              static_cast<ssize_t>(packet.size()));
    }
    rig_.run();
    std::vector<Bytes> all;
    while (const auto used = rig_.reap(0)) {
      REQUIRE(used->written >= kNetHeaderBytes);
      const GuestAddress at = rooms_.at(used->token);
      const Bytes got = rig_.get(at, used->written);
      all.emplace_back(got.begin() + kNetHeaderBytes, got.end());
      give_room(at);
    }
    return all;
  }

  NetRig& rig_;
  std::map<std::uint16_t, GuestAddress> rooms_;
  int end_ = 0;       // of the packets sent
  int at_host_ = -1;  // the last one that came
  int at_guest_ = -1;
};

}  // namespace

TEST_CASE("each transfer of a network device that fails loses at most a packet", "[faults]") {
  // Not EAGAIN: whoever says so tells later that there is room, which a fault does not.
  const auto error = GENERATE(EINTR, EIO, ENOBUFS, ENOMEM, ECONNREFUSED, EFAULT);
  const std::uint64_t rings = GENERATE(from_range(kRings));
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, error);
    const std::size_t before = open_fds();
    bool failed = false;
    {
      NetRig rig({});
      rig.start(rings);
      REQUIRE(rig.started);
      Traffic traffic(rig);
      faulty_calls::arm({.nth = nth, .error = error});
      const Came came = traffic.play();
      failed = faulty_calls::disarm();
      const bool passes = error == EINTR || !failed;
      CHECK(came.to_host >= kPackets - (passes ? 0 : 1));
      CHECK(came.to_guest >= kPackets - (passes ? 0 : 1));
      const Came after = traffic.play();
      CHECK(after.to_host == kPackets);
      CHECK(after.to_guest >= kPackets);
      CHECK(rig.rig().running());
    }
    CHECK(open_fds() == before);
    if (!failed) {
      CHECK(nth > 2 * kPackets);
      break;
    }
  }
}

}  // namespace vmm::virtio_net
