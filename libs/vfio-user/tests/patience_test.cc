// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Peers that answer each message in time, and never come to an end.

#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <thread>

#include "raw_peer.h"
#include "test_device.h"
#include "vmm/vfio_user/client.h"
#include "vmm/vfio_user/remote_space.h"
#include "vmm/vfio_user/server_session.h"

namespace vmm::vfio_user {
namespace {

constexpr std::chrono::milliseconds kPatience{400};
constexpr std::chrono::milliseconds kPause{250};  // two of them are more

Bytes reply(Command command, std::uint16_t id, const Bytes& payload) {
  return to_bytes(Header{.id = id,
                         .command = static_cast<std::uint16_t>(command),
                         .bytes = static_cast<std::uint32_t>(sizeof(Header) + payload.size()),
                         .flags = kReply,
                         .error = 0}) +
         payload;
}

/// Says what it has to say bit by bit.
class SlowVoice {
 public:
  SlowVoice(int socket, std::vector<Bytes> messages)
      : socket_(::dup(socket)), thread_([this, messages = std::move(messages)] {
          for (const Bytes& message : messages) {
            std::this_thread::sleep_for(kPause);
            (void)::send(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL);
          }
        }) {}
  ~SlowVoice() { thread_.join(); }

 private:
  UniqueFd socket_;
  std::thread thread_;
};

struct Rig {
  Rig() : Rig(socket_pair()) {}
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.first)), other(std::move(ends.second)) {}
  std::shared_ptr<Client> client() {
    const Bytes version =
        to_bytes(Version{}) +
        text("{\"capabilities\":{\"max_data_xfer_size\":4096,\"write_multiple\":false}}");
    peer.send_bytes(reply(Command::kVersion, 0, version));
    return *Client::connect(std::move(other), {.patience = kPatience});
  }

  RawPeer peer;
  UniqueFd other;
};

TEST_CASE("a call of several messages has one patience", "[patience][hostile]") {
  Rig rig;
  const auto client = rig.client();
  const RegionAccess part{.offset = 0, .region = 0, .count = kPage};
  Bytes bytes(3 * kPage);
  SECTION("reads") {
    const Bytes page = to_bytes(part) + Bytes(kPage);
    const SlowVoice voice(
        rig.peer.fd(), {reply(Command::kRegionRead, 1, page), reply(Command::kRegionRead, 2, page),
                        reply(Command::kRegionRead, 3, page)});
    CHECK(client->read_region(0, 0, bytes).error().is_os(ETIMEDOUT));
  }
  SECTION("writes") {
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kRegionWrite, 1, to_bytes(part)),
                                          reply(Command::kRegionWrite, 2, to_bytes(part)),
                                          reply(Command::kRegionWrite, 3, to_bytes(part))});
    CHECK(client->write_region(0, 0, bytes).error().is_os(ETIMEDOUT));
  }
  SECTION("small writes") {
    const std::vector<SmallWrite> writes(3, {.offset = 0, .region = 0, .count = 1});
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kRegionWrite, 1, to_bytes(part)),
                                          reply(Command::kRegionWrite, 2, to_bytes(part)),
                                          reply(Command::kRegionWrite, 3, to_bytes(part))});
    CHECK(client->write_many(writes).error().is_os(ETIMEDOUT));
  }
  SECTION("a state that is read") {
    const Bytes page = to_bytes(MigrationData{.bytes = kPage}) + Bytes(kPage);
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kMigrationRead, 1, page),
                                          reply(Command::kMigrationRead, 2, page),
                                          reply(Command::kMigrationRead, 3, page)});
    CHECK(client->read_migration(bytes).error().is_os(ETIMEDOUT));
  }
  SECTION("a state that is written") {
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kMigrationWrite, 1, {}),
                                          reply(Command::kMigrationWrite, 2, {}),
                                          reply(Command::kMigrationWrite, 3, {})});
    CHECK(client->write_migration(bytes).error().is_os(ETIMEDOUT));
  }
  CHECK(client->over());
}

TEST_CASE("accesses one after the other share it", "[patience][hostile]") {
  Rig rig;
  const auto client = rig.client();
  const RegionAccess part{.offset = 0, .region = 0, .count = kPage};
  const Bytes page = to_bytes(part) + Bytes(kPage);
  Bytes bytes(kPage);
  const SlowVoice voice(
      rig.peer.fd(), {reply(Command::kRegionRead, 1, page), reply(Command::kRegionRead, 2, page),
                      reply(Command::kRegionRead, 3, page), reply(Command::kRegionRead, 4, page)});
  bool good = true;
  for (int i = 0; i < 4 && good; ++i) good = client->read_region(0, 0, bytes).has_value();
  CHECK_FALSE(good);
  CHECK(client->over());
}

TEST_CASE("so has all that is asked of a new device", "[patience][hostile]") {
  Rig rig;
  const auto space = RemoteSpace::create({.client = {.patience = kPatience}});
  rig.peer.send_bytes(reply(Command::kVersion, 0, to_bytes(Version{})));
  const DeviceInfo info{
      .argsz = sizeof(DeviceInfo), .flags = DeviceInfo::kPci, .regions = 9, .interrupts = 5};
  const auto region = [](std::uint32_t index) {
    return to_bytes(RegionInfo{.argsz = sizeof(RegionInfo), .flags = 0, .index = index});
  };
  {
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kGetInfo, 1, to_bytes(info)),
                                          reply(Command::kGetRegionInfo, 2, region(0)),
                                          reply(Command::kGetRegionInfo, 3, region(1))});
    const auto made = space->connect(std::move(rig.other));
    CHECK(made.error().is_os(ETIMEDOUT));
  }
  int asked = 0;
  while (rig.peer.receive()) ++asked;
  CHECK(asked <= 3);  // the version, the device, its first region
}

TEST_CASE("an access to a client's memory has one patience", "[patience][hostile]") {
  Rig rig;
  TestDevice device;
  const auto session = *ServerSession::create(std::move(rig.other), device,
                                              {.patience = kPatience, .twin_socket = false});
  rig.peer.send(Command::kVersion,
                to_bytes(Version{}) + text("{\"capabilities\":{\"max_data_xfer_size\":4096}}"));
  REQUIRE(session->serve());
  for (const std::uint64_t iova : {std::uint64_t{0}, 2 * kPage}) {
    rig.peer.send(Command::kDmaMap, to_bytes(DmaMap{.flags = DmaMap::kRead | DmaMap::kWrite,
                                                    .offset = 0,
                                                    .iova = iova,
                                                    .bytes = 2 * kPage}));
    REQUIRE(session->serve());
  }
  const auto access = [](std::uint64_t page) {
    return to_bytes(DmaAccess{.iova = page * kPage, .count = kPage});
  };
  Bytes bytes(3 * kPage);  // in two mappings
  SECTION("reads") {
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kDmaRead, 0, access(0) + Bytes(kPage)),
                                          reply(Command::kDmaRead, 1, access(1) + Bytes(kPage)),
                                          reply(Command::kDmaRead, 2, access(2) + Bytes(kPage))});
    CHECK(device.dma->read(0, bytes).error().is_os(ETIMEDOUT));
  }
  SECTION("writes") {
    const SlowVoice voice(rig.peer.fd(), {reply(Command::kDmaWrite, 0, access(0)),
                                          reply(Command::kDmaWrite, 1, access(1)),
                                          reply(Command::kDmaWrite, 2, access(2))});
    CHECK(device.dma->write(0, bytes).error().is_os(ETIMEDOUT));
  }
}

}  // namespace
}  // namespace vmm::vfio_user
