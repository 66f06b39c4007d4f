// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/client.h"

#include <cerrno>
#include <functional>
#include <string>

#include "raw_peer.h"

namespace vmm::vfio_user {
namespace {

using Event = Client::Event;

constexpr std::uint64_t kPage = 4096;

struct Rig {
  explicit Rig(const Bytes& answer = to_bytes(Version{}), bool twin = false, std::size_t fds = 0,
               Client::Milliseconds patience = Client::Milliseconds(30'000))
      : Rig(socket_pair(), answer, fds, {.patience = patience, .twin_socket = twin}) {}
  Rig(std::pair<UniqueFd, UniqueFd> ends, const Bytes& answer, std::size_t fds,
      const Client::Options& options)
      : peer(std::move(ends.first)) {
    say(Command::kVersion, answer, fds);
    made = Client::connect(std::move(ends.second), options);
    if (made) client = *made;
    (void)peer.receive();
  }
  /// The answer to the next command.
  void say(Command command, const Bytes& payload = {}, std::size_t fds = 0) {
    peer.send(command, payload, fds, kReply, next_++);
  }

  RawPeer peer;
  Result<std::shared_ptr<Client>> made = fail(Error::os(0, "test"));
  std::shared_ptr<Client> client;

 private:
  std::uint16_t next_ = 0;
};

Bytes version(const char* json) { return to_bytes(Version{}) + text(json); }

TEST_CASE("what a server says of itself", "[client]") {
  const Rig rig(version("{\"capabilities\":{\"max_msg_fds\":8,\"max_data_xfer_size\":4096}}"));
  REQUIRE(rig.client);
  CHECK(rig.client->server().max_msg_fds == 8);
  CHECK(rig.client->server().max_data_xfer_size == 4096);
  CHECK_FALSE(rig.client->server().write_multiple);
}

TEST_CASE("servers that make no sense are left", "[client][hostile]") {
  struct Case {
    const char* name;
    Bytes answer;
    bool twin;
    std::size_t fds;
    UserError error;
  };
  const char* const kTwin =
      "{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":0}}}";
  const Case cases[] = {
      {"nothing", {}, false, 0, UserError::kBadSize},
      {"major", to_bytes(Version{.major = 1, .minor = 0}), false, 0, UserError::kBadVersion},
      {"minor", to_bytes(Version{.major = 0, .minor = 2}), false, 0, UserError::kBadVersion},
      {"JSON", version("["), false, 0, UserError::kBadJson},
      {"no data", version("{\"capabilities\":{\"max_data_xfer_size\":0}}"), false, 0,
       UserError::kBadJson},
      {"less than a page", version("{\"capabilities\":{\"max_data_xfer_size\":4095}}"), false, 0,
       UserError::kBadJson},
      {"descriptors", version("{}"), false, 2, UserError::kBadFdCount},
      {"a twin that nobody wants", version(kTwin), false, 1, UserError::kBadReply},
      {"a twin without a socket", version(kTwin), true, 0, UserError::kBadFdCount},
      {"a twin somewhere", version("{\"capabilities\":{\"twin_socket\":{\"supported\":true}}}"),
       true, 1, UserError::kBadReply},
      {"a twin too far",
       version("{\"capabilities\":{\"twin_socket\":{\"supported\":true,\"fd_index\":9}}}"), true, 1,
       UserError::kBadFdCount},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    const std::size_t before = open_fds();
    {
      const Rig rig(one.answer, one.twin, one.fds);
      CHECK(is_error(rig.made, one.error));
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("each answer is checked, and the conversation goes on", "[client][hostile]") {
  using Ask = std::function<Result<void>(Client&)>;
  const auto forget = [](auto result) -> Result<void> {
    if (!result) return fail(result.error());
    return {};
  };
  const Ask info = [&](Client& client) { return forget(client.device_info()); };
  const Ask region = [&](Client& client) { return forget(client.region_info(1)); };
  const Ask events = [&](Client& client) { return forget(client.io_events(1, 64)); };
  const Ask irq = [&](Client& client) { return forget(client.irq_info(1)); };
  const Ask read = [&](Client& client) {
    std::array<std::byte, 4> bytes{};
    return client.read_region(0, 0, bytes);
  };
  const Ask write = [&](Client& client) { return client.write_region(0, 0, Bytes(4)); };
  const Ask many = [&](Client& client) {
    return client.write_many(std::vector<SmallWrite>{{.offset = 0, .region = 0, .count = 1}});
  };
  const Ask reset = [&](Client& client) { return client.reset(); };
  const Ask feature = [&](Client& client) { return forget(client.feature(Feature::kGet | 1, {})); };
  const Ask save = [&](Client& client) {
    std::array<std::byte, 4> bytes{};
    return forget(client.read_migration(bytes));
  };
  const Ask restore = [&](Client& client) { return client.write_migration(Bytes(4)); };
  const auto entry = [](std::uint64_t offset, std::uint64_t bytes, std::uint32_t fd) {
    return to_bytes(RegionIoFds{.index = 1, .count = 1}) +
           to_bytes(RegionIoFd{.offset = offset, .bytes = bytes, .fd_index = fd});
  };
  const auto access = [](std::uint32_t count, std::size_t data) {
    return to_bytes(RegionAccess{.offset = 0, .region = 0, .count = count}) + Bytes(data);
  };

  struct Case {
    const char* name;
    Command command;
    Ask ask;
    Bytes answer;
    std::size_t fds;
    std::optional<UserError> error;
  };
  using enum UserError;
  const Case cases[] = {
      {"info", Command::kGetInfo, info, to_bytes(DeviceInfo{}), 0, {}},
      {"info, short", Command::kGetInfo, info, Bytes(15), 0, kBadSize},
      {"region", Command::kGetRegionInfo, region, to_bytes(RegionInfo{.index = 1}), 1, {}},
      {"region, short", Command::kGetRegionInfo, region, Bytes(31), 1, kBadSize},
      {"region, another", Command::kGetRegionInfo, region, to_bytes(RegionInfo{}), 0, kBadSize},
      {"region, two files", Command::kGetRegionInfo, region, to_bytes(RegionInfo{.index = 1}), 2,
       kBadFdCount},
      {"region, much", Command::kGetRegionInfo, region,
       to_bytes(RegionInfo{.index = 1}) + Bytes(65536), 0, kBadSize},
      {"events", Command::kGetRegionIoFds, events, entry(60, 4, 0), 1, {}},
      {"events, short", Command::kGetRegionIoFds, events, Bytes(15), 0, kBadSize},
      {"events, fewer", Command::kGetRegionIoFds, events,
       to_bytes(RegionIoFds{.index = 1, .count = 1}), 1, kBadSize},
      {"events, without end", Command::kGetRegionIoFds, events,
       to_bytes(RegionIoFds{.index = 1, .count = ~0u}), 1, kBadSize},
      {"events, beyond", Command::kGetRegionIoFds, events, entry(60, 8, 0), 1, kBadRange},
      {"events, wrap", Command::kGetRegionIoFds, events, entry(~0ull, 8, 0), 1, kBadRange},
      {"events, descriptor", Command::kGetRegionIoFds, events, entry(0, 8, 1), 1, kBadFdCount},
      {"irq", Command::kGetIrqInfo, irq, to_bytes(IrqInfo{.index = 1}), 0, {}},
      {"irq, another", Command::kGetIrqInfo, irq, to_bytes(IrqInfo{.index = 0}), 0, kBadSize},
      {"irq, long", Command::kGetIrqInfo, irq, Bytes(17), 0, kBadSize},
      {"irq, descriptor", Command::kGetIrqInfo, irq, to_bytes(IrqInfo{.index = 1}), 1, kBadFdCount},
      {"read", Command::kRegionRead, read, access(4, 4), 0, {}},
      {"read, fewer", Command::kRegionRead, read, access(3, 3), 0, kBadSize},
      {"read, less data", Command::kRegionRead, read, access(4, 3), 0, kBadSize},
      {"read, more data", Command::kRegionRead, read, access(4, 5), 0, kBadSize},
      {"read, nothing", Command::kRegionRead, read, {}, 0, kBadSize},
      {"read, descriptor", Command::kRegionRead, read, access(4, 4), 1, kBadFdCount},
      {"write", Command::kRegionWrite, write, access(4, 0), 0, {}},
      {"write, short", Command::kRegionWrite, write, Bytes(15), 0, kBadSize},
      {"many", Command::kRegionWriteMulti, many, to_bytes(std::uint64_t{1}), 0, {}},
      {"many, short", Command::kRegionWriteMulti, many, Bytes(7), 0, kBadSize},
      {"reset", Command::kReset, reset, {}, 0, {}},
      {"reset, data", Command::kReset, reset, Bytes(1), 0, kBadSize},
      {"feature",
       Command::kFeature,
       feature,
       to_bytes(Feature{.flags = Feature::kGet | 1}) + Bytes(8),
       0,
       {}},
      {"feature, short", Command::kFeature, feature, Bytes(7), 0, kBadSize},
      {"feature, another", Command::kFeature, feature, to_bytes(Feature{.flags = 2}), 0, kBadSize},
      {"save",
       Command::kMigrationRead,
       save,
       to_bytes(MigrationData{.bytes = 2}) + Bytes(2),
       0,
       {}},
      {"save, less data", Command::kMigrationRead, save, to_bytes(MigrationData{.bytes = 2}), 0,
       kBadSize},
      {"save, too much", Command::kMigrationRead, save,
       to_bytes(MigrationData{.bytes = 5}) + Bytes(5), 0, kBadSize},
      {"save, short", Command::kMigrationRead, save, Bytes(7), 0, kBadSize},
      {"restore", Command::kMigrationWrite, restore, {}, 0, {}},
      {"restore, data", Command::kMigrationWrite, restore, Bytes(4), 0, kBadSize},
  };
  Rig rig(version("{\"capabilities\":{\"write_multiple\":true}}"));
  REQUIRE(rig.client);
  for (const Case& one : cases) {
    CAPTURE(one.name);
    rig.say(one.command, one.answer, one.fds);
    const auto done = one.ask(*rig.client);
    if (one.error) {
      CHECK(is_error(done, *one.error));
    } else {
      CHECK(done);
    }
    CHECK_FALSE(rig.client->over());
  }
  const std::size_t before = open_fds();
  rig.say(Command::kGetRegionInfo, Bytes(3), 5);
  CHECK_FALSE(rig.client->region_info(0));
  rig.say(Command::kReset);
  CHECK(rig.client->reset());
  CHECK(open_fds() == before);
  rig.say(Command::kRegionWriteMulti, to_bytes(std::uint64_t{0}));
  CHECK(many(*rig.client).error().is_os(EIO));
}

TEST_CASE("descriptors that no event is of are not kept", "[client][hostile]") {
  Rig rig;
  REQUIRE(rig.client);
  const std::size_t before = open_fds();
  const auto event = [](std::uint32_t type, std::uint32_t fd) {
    return to_bytes(RegionIoFd{.offset = 0, .bytes = 4, .fd_index = fd, .type = type});
  };
  constexpr std::uint32_t kAnother = RegionIoFd::kIoEventFd + 1;
  rig.say(Command::kGetRegionIoFds,
          to_bytes(RegionIoFds{.index = 1, .count = 3}) + event(RegionIoFd::kIoEventFd, 2) +
              event(kAnother, 0) + event(RegionIoFd::kIoEventFd, 2),
          4);
  auto events = rig.client->io_events(1, 64);
  REQUIRE(events);
  REQUIRE(events->events.size() == 2);
  REQUIRE(events->fds.size() == 1);
  CHECK(events->events[0].fd == events->fds[0].get());
  CHECK(events->events[1].fd == events->fds[0].get());
  rig.say(Command::kReset);
  REQUIRE(rig.client->reset());  // what came with the answer before goes
  CHECK(open_fds() == before + 1);
}

class Shared {
 public:
  SharedMemory at(std::uint64_t iova, bool reads = true, bool writes = true) {
    return {.iova = iova,
            .memory = bytes_,
            .owner = owner_,
            .device_reads = reads,
            .device_writes = writes};
  }
  [[nodiscard]] long keepers() const { return owner_.use_count() - 1; }
  Bytes& bytes() { return bytes_; }

 private:
  Bytes bytes_ = Bytes(kPage, std::byte{3});
  std::shared_ptr<int> owner_ = std::make_shared<int>();
};

TEST_CASE("a server reaches the memory that was shared and nothing else", "[client][hostile]") {
  Rig rig;
  Shared both, reads, writes;
  for (const SharedMemory& memory :
       {both.at(0x10000), both.at(0x11000), reads.at(0x20000, true, false),
        writes.at(0x30000, false, true), both.at(~kPage + 1)}) {
    rig.say(Command::kDmaMap);
    REQUIRE(rig.client->share(memory));
    (void)rig.peer.receive();
  }
  CHECK(rig.client->share(both.at(0x10800)).error().is_os(EEXIST));

  struct Case {
    const char* name;
    Command command;
    std::uint64_t iova;
    std::uint64_t count;
    std::size_t data;
    std::uint32_t error;
    std::size_t fds = 0;
  };
  const std::uint32_t unknown = errno_of(UserError::kUnknownCommand);
  const Case cases[] = {
      {"read", Command::kDmaRead, 0x10000, 16, 0, 0},
      {"read, all", Command::kDmaRead, 0x10000, kPage, 0, 0},
      {"read, two that adjoin", Command::kDmaRead, 0x10ff0, 0x20, 0, 0},
      {"read, beyond both", Command::kDmaRead, 0x11ff0, 0x20, 0, EFAULT},
      {"read, before", Command::kDmaRead, 0xfff0, 0x20, 0, EFAULT},
      {"read, the end", Command::kDmaRead, ~kPage + 1, kPage, 0, 0},
      {"read, wraps", Command::kDmaRead, ~kPage + 1, kPage + 1, 0, EINVAL},
      {"read, nothing", Command::kDmaRead, 0x10000, 0, 0, EINVAL},
      {"read, much", Command::kDmaRead, 0x10000, kMaxData + 1, 0, EINVAL},
      {"read, without end", Command::kDmaRead, 0x10000, ~0ull, 0, EINVAL},
      {"read, data", Command::kDmaRead, 0x10000, 16, 16, EINVAL},
      {"read, only for writing", Command::kDmaRead, 0x30000, 16, 0, EFAULT},
      {"read, descriptor", Command::kDmaRead, 0x10000, 16, 0, EINVAL, 1},
      {"write", Command::kDmaWrite, 0x10000, 16, 16, 0},
      {"write, only for reading", Command::kDmaWrite, 0x20000, 16, 16, EACCES},
      {"write, less data", Command::kDmaWrite, 0x10000, 16, 15, EINVAL},
      {"write, more data", Command::kDmaWrite, 0x10000, 16, 17, EINVAL},
      {"write, nowhere", Command::kDmaWrite, 0x40000, 16, 16, EFAULT},
      {"a client's command", Command::kReset, 0, 0, 0, unknown},
      {"unknown", static_cast<Command>(77), 0, 0, 0, unknown, 2},
  };
  const std::size_t before = open_fds();
  for (const Case& one : cases) {
    CAPTURE(one.name);
    rig.peer.send(
        one.command,
        to_bytes(DmaAccess{.iova = one.iova, .count = one.count}) + Bytes(one.data, std::byte{8}),
        one.fds);
    CHECK(*rig.client->serve() == Event::kNothing);
    const auto answer = rig.peer.receive();
    REQUIRE(answer);
    CHECK(answer->header.id == 7);
    CHECK(answer->header.error == one.error);
    if (one.error == 0 && one.command == Command::kDmaRead) {
      CHECK(answer->payload.size() == sizeof(DmaAccess) + one.count);
    }
    CHECK(open_fds() == before);
  }
  CHECK(both.bytes()[15] == std::byte{8});
  CHECK(both.bytes()[16] == std::byte{3});
  CHECK(reads.bytes()[0] == std::byte{3});
}

TEST_CASE("memory is kept until the server has let go of it", "[client]") {
  Rig rig;
  Shared memory;
  rig.say(Command::kDmaMap);
  REQUIRE(rig.client->share(memory.at(0)));
  CHECK(memory.keepers() == 1);
  rig.peer.send(Command::kDmaUnmap, {}, 0, kReply | kError, 2);
  CHECK_FALSE(rig.client->unshare(0, kPage));
  CHECK(memory.keepers() == 1);
  rig.peer.close();
  CHECK(rig.client->unshare(0, kPage));
  CHECK(memory.keepers() == 0);
}

TEST_CASE("memory that a server refuses is not shared", "[client]") {
  Rig rig;
  Shared memory;
  rig.peer.send(Command::kDmaMap, {}, 0, kReply | kError, 1);
  CHECK_FALSE(rig.client->share(memory.at(0)));
  CHECK(memory.keepers() == 0);
}

TEST_CASE("a server that goes away is noticed at once", "[client]") {
  Rig rig;
  rig.peer.close();
  SECTION("by who waits") {
    CHECK(*rig.client->serve() == Event::kClosed);
    CHECK(rig.client->over());
  }
  SECTION("by a call") {
    CHECK(is_error(rig.client->reset(), UserError::kDisconnected));
    CHECK(rig.client->over());
  }
  CHECK(is_error(rig.client->device_info(), UserError::kDisconnected));
  CHECK(is_error(rig.client->serve(), UserError::kDisconnected));
}

TEST_CASE("a server that asks without end does not hold up who answers", "[client]") {
  Rig rig;
  for (int i = 0; i < 70; ++i) rig.peer.send(Command::kReset);
  CHECK(*rig.client->serve() == Event::kMessage);
  CHECK(*rig.client->serve() == Event::kNothing);
  int answers = 0;
  while (rig.peer.receive()) ++answers;
  CHECK(answers == 70);
}

TEST_CASE("a server that says nothing is given up", "[client]") {
  const Rig rig(to_bytes(Version{}), false, 0, Client::Milliseconds(300));
  CHECK(rig.client->reset().error().is_os(ETIMEDOUT));
  CHECK(is_error(rig.client->reset(), UserError::kDisconnected));
}

}  // namespace
}  // namespace vmm::vfio_user
