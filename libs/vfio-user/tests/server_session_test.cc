// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/server_session.h"

#include <cerrno>
#include <functional>
#include <string>

#include "raw_peer.h"
#include "test_device.h"

namespace vmm::vfio_user {
namespace {

using Event = ServerSession::Event;
using State = Migration::State;

struct Rig {
  explicit Rig(bool hello = true) : Rig(socket_pair()) {
    if (!hello) return;
    peer.hello();
    const auto answer = ask();
    REQUIRE((answer && !answer->failed()));
  }
  explicit Rig(std::pair<UniqueFd, UniqueFd> ends)
      : peer(std::move(ends.first)),
        session(*ServerSession::create(std::move(ends.second), device)) {}

  /// The answer to what was sent.
  std::optional<RawPeer::Message> ask() {
    (void)session->serve();
    return peer.receive();
  }
  std::optional<RawPeer::Message> ask(Command command, const Bytes& payload = {},
                                      std::size_t fds = 0) {
    peer.send(command, payload, fds);
    return ask();
  }
  /// The errno value of the answer; 0 for one that is none.
  std::uint32_t error_of(Command command, const Bytes& payload = {}, std::size_t fds = 0) {
    const auto answer = ask(command, payload, fds);
    REQUIRE(answer);
    return answer->failed() ? answer->header.error : 0;
  }
  bool is_alive() { return error_of(Command::kGetInfo, to_bytes(DeviceInfo{})) == 0; }

  TestDevice device;
  RawPeer peer;
  std::unique_ptr<ServerSession> session;
};

Bytes map(std::uint64_t iova, std::uint64_t bytes, std::uint32_t flags = 3,
          std::uint64_t offset = 0) {
  return to_bytes(DmaMap{.flags = flags, .offset = offset, .iova = iova, .bytes = bytes});
}
Bytes unmap(std::uint64_t iova, std::uint64_t bytes, std::uint32_t flags = 0) {
  return to_bytes(DmaUnmap{.flags = flags, .iova = iova, .bytes = bytes});
}
Bytes irqs(std::uint32_t flags, std::uint32_t index, std::uint32_t first, std::uint32_t count,
           const Bytes& data = {}) {
  return to_bytes(IrqSet{.flags = flags, .index = index, .first = first, .count = count}) + data;
}
Bytes access(std::uint32_t region, std::uint64_t offset, std::uint32_t count,
             const Bytes& data = {}) {
  return to_bytes(RegionAccess{.offset = offset, .region = region, .count = count}) + data;
}
Bytes feature(std::uint32_t flags, const Bytes& data = {}, std::uint32_t argsz = 65536) {
  return to_bytes(Feature{.argsz = argsz, .flags = flags}) + data;
}
Bytes migration_state(State state) {
  return to_bytes(MigrationStateData{.state = static_cast<std::uint32_t>(state), .fd = -1});
}
Bytes log_start(std::uint64_t page, std::uint32_t count, const Bytes& ranges = {}) {
  return to_bytes(LogStart{.page_bytes = page, .count = count, .reserved = 0}) + ranges;
}
Bytes log_report(std::uint64_t iova, std::uint64_t bytes, std::uint64_t page) {
  return to_bytes(LogReport{.iova = iova, .bytes = bytes, .page_bytes = page});
}
Bytes migration_data(std::uint32_t bytes, std::size_t data = 0) {
  return to_bytes(MigrationData{.bytes = bytes}) + Bytes(data);
}
Bytes small_writes(std::uint64_t count, const std::vector<SmallWrite>& writes) {
  Bytes bytes = to_bytes(count);
  for (const SmallWrite& write : writes) bytes = bytes + to_bytes(write);
  return bytes;
}
const Bytes kOne(1);

TEST_CASE("a conversation begins with the version", "[server]") {
  Rig rig(false);
  CHECK(rig.device.dma == nullptr);
  rig.peer.send(Command::kVersion, to_bytes(Version{}) + text("{\"capabilities\":"
                                                              "{\"max_msg_fds\":8,"
                                                              "\"write_multiple\":true}}"));
  const auto answer = rig.ask();
  REQUIRE(answer);
  CHECK(answer->header.flags == kReply);
  CHECK(answer->fds.empty());
  const auto said = parse_capabilities(std::span(answer->payload).subspan(sizeof(Version)));
  REQUIRE(said);
  CHECK(said->max_msg_fds == kMaxFds);
  CHECK(said->max_data_xfer_size == kMaxData);
  CHECK(said->write_multiple);
  CHECK_FALSE(said->twin_socket);
  CHECK(rig.session->client().max_msg_fds == 8);
  CHECK(rig.device.dma != nullptr);
  rig.session.reset();
  CHECK(rig.device.detachments == 1);
}

TEST_CASE("versions, and commands out of turn, that end a session", "[server][hostile]") {
  struct Case {
    const char* name;
    Command command;
    Bytes payload;
    std::size_t fds;
    UserError error;
  };
  const Bytes version = to_bytes(Version{});
  const Case cases[] = {
      {"nothing", Command::kVersion, {}, 0, UserError::kBadSize},
      {"half", Command::kVersion, Bytes(3), 0, UserError::kBadSize},
      {"major", Command::kVersion, to_bytes(Version{.major = 1, .minor = 0}), 0,
       UserError::kBadVersion},
      {"no JSON", Command::kVersion, version + text("x"), 0, UserError::kBadJson},
      {"no end", Command::kVersion, version + Bytes{std::byte{'{'}, std::byte{'}'}}, 0,
       UserError::kBadJson},
      {"much", Command::kVersion, version + text("{\"a\":\"" + std::string(4096, 'a') + "\"}"), 0,
       UserError::kBadJson},
      {"no data", Command::kVersion,
       version + text("{\"capabilities\":{\"max_data_xfer_size\":0}}"), 0, UserError::kBadJson},
      {"less than a page", Command::kVersion,
       version + text("{\"capabilities\":{\"max_data_xfer_size\":4095}}"), 0, UserError::kBadJson},
      {"descriptors", Command::kVersion, version, 2, UserError::kBadFdCount},
      {"before", Command::kGetInfo, to_bytes(DeviceInfo{}), 1, UserError::kNotNow},
      {"unknown before", static_cast<Command>(99), {}, 0, UserError::kNotNow},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    const std::size_t before = open_fds();
    {
      Rig rig(false);
      rig.peer.send(one.command, one.payload, one.fds);
      CHECK(is_error(rig.session->serve(), one.error));
      const auto answer = rig.peer.receive();
      REQUIRE(answer);
      CHECK(answer->failed());
      CHECK(answer->payload.empty());
      CHECK(rig.device.detachments == 0);
    }
    CHECK(open_fds() == before);
  }
  Rig rig;
  rig.peer.hello();
  CHECK(is_error(rig.session->serve(), UserError::kNotNow));
}

TEST_CASE("each field of each command is checked, and the session goes on", "[server][hostile]") {
  struct Case {
    const char* name;
    Command command;
    Bytes payload;
    std::uint32_t error;
    std::size_t fds = 0;
  };
  constexpr std::uint32_t kNoneTrigger = IrqSet::kDataNone | IrqSet::kTrigger;
  constexpr std::uint32_t kFdsTrigger = IrqSet::kDataFds | IrqSet::kTrigger;
  constexpr std::uint32_t kBoolTrigger = IrqSet::kDataBool | IrqSet::kTrigger;
  const std::uint64_t top = ~std::uint64_t{0};
  const std::uint32_t unknown = errno_of(UserError::kUnknownCommand);
  const Case cases[] = {
      {"unknown", static_cast<Command>(0), {}, unknown},
      {"gap", static_cast<Command>(14), {}, unknown},
      {"beyond", static_cast<Command>(19), Bytes(100), unknown, 3},
      {"the server's own", Command::kDmaRead, Bytes(16), unknown},

      {"map: short", Command::kDmaMap, Bytes(31), EINVAL, 1},
      {"map: long", Command::kDmaMap, map(0, kPage) + kOne, EINVAL, 1},
      {"map: two files", Command::kDmaMap, map(0, kPage), EINVAL, 2},
      {"map: empty", Command::kDmaMap, map(0, 0), EINVAL},
      {"map: wraps", Command::kDmaMap, map(top, 2), EINVAL},
      {"map: no rights", Command::kDmaMap, map(0, kPage, 0), EINVAL},
      {"map: other flags", Command::kDmaMap, map(0, kPage, 7), EINVAL},
      {"map: half pages", Command::kDmaMap, map(0, 100), EINVAL, 1},
      {"map: address of half a page", Command::kDmaMap, map(5, kPage), EINVAL, 1},
      {"map: offset", Command::kDmaMap, map(0, kPage, 3, 1), EINVAL, 1},
      {"map: beyond the file", Command::kDmaMap, map(0, 2 << 20), ERANGE, 1},
      {"map: offset wraps", Command::kDmaMap, map(0, kPage, 3, top - kPage + 1), ERANGE, 1},
      {"map: overlap", Command::kDmaMap, map(0x1000'0800, 16), EEXIST},
      {"unmap: short", Command::kDmaUnmap, Bytes(23), EINVAL},
      {"unmap: descriptor", Command::kDmaUnmap, unmap(0x1000'0000, kPage), EINVAL, 1},
      {"unmap: unknown", Command::kDmaUnmap, unmap(0x2000'0000, kPage), ENOENT},
      {"unmap: a part", Command::kDmaUnmap, unmap(0x1000'0000, 16), ENOENT},
      {"unmap: old bitmaps", Command::kDmaUnmap, unmap(0x1000'0000, kPage, 1), EINVAL},
      {"unmap: all of some", Command::kDmaUnmap, unmap(0x1000'0000, kPage, 2), EINVAL},

      {"info: short", Command::kGetInfo, Bytes(15), EINVAL},
      {"info: argsz", Command::kGetInfo, to_bytes(DeviceInfo{.argsz = 15}), EINVAL},
      {"info: descriptor", Command::kGetInfo, to_bytes(DeviceInfo{}), EINVAL, 1},
      {"region: short", Command::kGetRegionInfo, Bytes(31), EINVAL},
      {"region: argsz", Command::kGetRegionInfo, to_bytes(RegionInfo{.argsz = 31}), EINVAL},
      {"region: index", Command::kGetRegionInfo, to_bytes(RegionInfo{.index = 9}), EINVAL},
      {"region: last index", Command::kGetRegionInfo, to_bytes(RegionInfo{.index = 0xffff'ffff}),
       EINVAL},
      {"events: short", Command::kGetRegionIoFds, Bytes(15), EINVAL},
      {"events: argsz", Command::kGetRegionIoFds, to_bytes(RegionIoFds{.argsz = 0}), EINVAL},
      {"events: flags", Command::kGetRegionIoFds, to_bytes(RegionIoFds{.flags = 1}), EINVAL},
      {"events: count", Command::kGetRegionIoFds, to_bytes(RegionIoFds{.count = 1}), EINVAL},
      {"events: index", Command::kGetRegionIoFds, to_bytes(RegionIoFds{.index = 9}), EINVAL},
      {"irq: long", Command::kGetIrqInfo, to_bytes(IrqInfo{}) + kOne, EINVAL},
      {"irq: argsz", Command::kGetIrqInfo, to_bytes(IrqInfo{.argsz = 1}), EINVAL},
      {"irq: index", Command::kGetIrqInfo, to_bytes(IrqInfo{.index = 5}), EINVAL},

      {"irqs: short", Command::kSetIrqs, Bytes(19), EINVAL, 1},
      {"irqs: argsz", Command::kSetIrqs, Bytes(20), EINVAL},
      {"irqs: no data flag", Command::kSetIrqs, irqs(IrqSet::kTrigger, 2, 0, 1), EINVAL},
      {"irqs: no action", Command::kSetIrqs, irqs(IrqSet::kDataNone, 2, 0, 1), EINVAL},
      {"irqs: two data flags", Command::kSetIrqs, irqs(kNoneTrigger | 2, 2, 0, 1, kOne), EINVAL},
      {"irqs: two actions", Command::kSetIrqs, irqs(kNoneTrigger | IrqSet::kMask, 2, 0, 1), EINVAL},
      {"irqs: other flags", Command::kSetIrqs, irqs(kNoneTrigger | 64, 2, 0, 1), EINVAL},
      {"irqs: index", Command::kSetIrqs, irqs(kFdsTrigger, 5, 0, 1), EINVAL, 1},
      {"irqs: none of these", Command::kSetIrqs, irqs(kFdsTrigger, 1, 0, 1), EINVAL, 1},
      {"irqs: first", Command::kSetIrqs, irqs(kFdsTrigger, 2, 100, 1), EINVAL, 1},
      {"irqs: count", Command::kSetIrqs, irqs(kNoneTrigger, 2, 99, 2), EINVAL},
      {"irqs: count wraps", Command::kSetIrqs, irqs(kNoneTrigger, 2, 1, 0xffff'ffff), EINVAL},
      {"irqs: none at all", Command::kSetIrqs, irqs(kNoneTrigger, 2, 1, 0), EINVAL},
      {"irqs: too few descriptors", Command::kSetIrqs, irqs(kFdsTrigger, 2, 0, 3), EINVAL, 2},
      {"irqs: too many descriptors", Command::kSetIrqs, irqs(kFdsTrigger, 2, 0, 1), EINVAL, 2},
      {"irqs: stray descriptor", Command::kSetIrqs, irqs(kNoneTrigger, 2, 0, 1), EINVAL, 1},
      {"irqs: too few bytes", Command::kSetIrqs, irqs(kBoolTrigger, 2, 0, 2, kOne), EINVAL},
      {"irqs: stray bytes", Command::kSetIrqs, irqs(kNoneTrigger, 2, 0, 1, kOne), EINVAL},
      {"irqs: not maskable", Command::kSetIrqs, irqs(IrqSet::kDataNone | IrqSet::kMask, 2, 0, 1),
       EINVAL},

      {"read: short", Command::kRegionRead, Bytes(15), EINVAL},
      {"read: data", Command::kRegionRead, access(0, 0, 1, kOne), EINVAL},
      {"read: region", Command::kRegionRead, access(9, 0, 1), EINVAL},
      {"read: no region", Command::kRegionRead, access(1, 0, 1), EINVAL},
      {"read: nothing", Command::kRegionRead, access(0, 0, 0), EINVAL},
      {"read: beyond", Command::kRegionRead, access(0, 4 * kPage - 1, 2), EINVAL},
      {"read: wraps", Command::kRegionRead, access(0, top, 2), EINVAL},
      {"read: much", Command::kRegionRead, access(0, 0, kMaxData + 1), EINVAL},
      {"read: descriptor", Command::kRegionRead, access(0, 0, 1), EINVAL, 1},
      {"write: short", Command::kRegionWrite, Bytes(15), EINVAL},
      {"write: too few", Command::kRegionWrite, access(0, 0, 2, kOne), EINVAL},
      {"write: too many", Command::kRegionWrite, access(0, 0, 1, Bytes(2)), EINVAL},
      {"write: nothing", Command::kRegionWrite, access(0, 0, 0), EINVAL},
      {"write: beyond", Command::kRegionWrite, access(0, 4 * kPage, 1, kOne), EINVAL},
      {"write: only to read", Command::kRegionWrite, access(3, 0, 1, kOne), EPERM},
      {"write: the device says no", Command::kRegionWrite, access(7, 0, 1, kOne), EPERM},
      {"many: short", Command::kRegionWriteMulti, Bytes(7), EINVAL},
      {"many: fewer", Command::kRegionWriteMulti, small_writes(2, {SmallWrite{}}), EINVAL},
      {"many: more", Command::kRegionWriteMulti, small_writes(0, {SmallWrite{}}), EINVAL},
      {"many: without end", Command::kRegionWriteMulti, small_writes(top, {}), EINVAL},
      {"many: too many", Command::kRegionWriteMulti,
       small_writes(201, std::vector<SmallWrite>(201)), EINVAL},
      {"reset: data", Command::kReset, kOne, EINVAL},
      {"reset: descriptor", Command::kReset, {}, EINVAL, 1},

      {"feature: short", Command::kFeature, Bytes(7), EINVAL},
      {"feature: unknown", Command::kFeature, feature(Feature::kGet | 99), ENOTTY},
      {"feature: other flags", Command::kFeature, feature(1 << 19 | 1), EINVAL},
      {"feature: nothing to do", Command::kFeature, feature(1), EINVAL},
      {"feature: set what is only read", Command::kFeature, feature(Feature::kSet | 1), ENOTTY},
      {"feature: get and set", Command::kFeature, feature(Feature::kGet | Feature::kSet | 2),
       EINVAL},
      {"feature: probe of another use", Command::kFeature,
       feature(Feature::kProbe | Feature::kGet | 6), ENOTTY},
      {"feature: argsz", Command::kFeature, feature(Feature::kGet | 1, {}, 15), EINVAL},
      {"state: short", Command::kFeature, feature(Feature::kSet | 2, Bytes(7)), EINVAL},
      {"state: unknown", Command::kFeature,
       feature(Feature::kSet | 2, to_bytes(MigrationStateData{.state = 8, .fd = -1})), EINVAL},
      {"state: error", Command::kFeature,
       feature(Feature::kSet | 2, migration_state(State::kError)), EINVAL},
      {"state: P2P", Command::kFeature,
       feature(Feature::kSet | 2, migration_state(State::kRunningP2p)), EINVAL},
      {"log: short", Command::kFeature, feature(Feature::kSet | 6, Bytes(15)), EINVAL},
      {"log: page", Command::kFeature, feature(Feature::kSet | 6, log_start(3000, 0)), EINVAL},
      {"log: page of nothing", Command::kFeature, feature(Feature::kSet | 6, log_start(0, 0)),
       EINVAL},
      {"log: fewer", Command::kFeature, feature(Feature::kSet | 6, log_start(4096, 2, Bytes(16))),
       EINVAL},
      {"log: without end", Command::kFeature, feature(Feature::kSet | 6, log_start(4096, ~0u)),
       EINVAL},
      {"log: empty range", Command::kFeature,
       feature(Feature::kSet | 6, log_start(4096, 1, Bytes(16))), EINVAL},
      {"log stop: data", Command::kFeature, feature(Feature::kSet | 7, kOne), EINVAL},
      {"report: not started", Command::kFeature,
       feature(Feature::kGet | 8, log_report(0, kPage, kPage)), EINVAL},
      {"report: short", Command::kFeature, feature(Feature::kGet | 8, Bytes(23)), EINVAL},
      {"migration read: running", Command::kMigrationRead, migration_data(16), EINVAL},
      {"migration read: short", Command::kMigrationRead, Bytes(7), EINVAL},
      {"migration write: running", Command::kMigrationWrite, migration_data(4, 4), EINVAL},
      {"migration write: short", Command::kMigrationWrite, Bytes(7), EINVAL},
  };
  Rig rig;
  REQUIRE(rig.error_of(Command::kDmaMap, map(0x1000'0000, kPage)) == 0);
  const std::size_t before = open_fds();
  for (const Case& one : cases) {
    CAPTURE(one.name);
    CHECK(rig.error_of(one.command, one.payload, one.fds) == one.error);
    CHECK(open_fds() == before);
    CHECK(rig.device.mappings == 1);
    CHECK(rig.device.resets == 0);
  }
  CHECK(rig.is_alive());
}

TEST_CASE("reports of a log are checked while it runs", "[server][hostile]") {
  Rig rig;
  REQUIRE(rig.error_of(Command::kFeature, feature(Feature::kSet | 6, log_start(1 << 16, 0))) == 0);
  CHECK(rig.error_of(Command::kFeature, feature(Feature::kSet | 6, log_start(4096, 0))) == EBUSY);
  const std::uint64_t top = ~std::uint64_t{0};
  struct Case {
    std::uint64_t iova, bytes, page;
  };
  const Case cases[] = {{0, 0, kPage},           {0, kPage, 0},
                        {0, kPage, 3 * kPage},   {1, kPage, kPage},
                        {0, kPage + 1, kPage},   {top - kPage + 1, 2 * kPage, kPage},
                        {0, top - kPage + 1, 1}, {0, std::uint64_t{1} << 63, kPage}};
  for (const Case& one : cases) {
    CAPTURE(one.iova, one.bytes, one.page);
    CHECK(rig.error_of(Command::kFeature,
                       feature(Feature::kGet | 8, log_report(one.iova, one.bytes, one.page))) ==
          EINVAL);
  }
  CHECK(rig.is_alive());
}

TEST_CASE("a command that needs an answer and wants none ends the session", "[server][hostile]") {
  for (const Command command : {Command::kGetInfo, Command::kRegionRead, Command::kFeature}) {
    Rig rig;
    rig.peer.send(command, to_bytes(DeviceInfo{}), 0, kNoReply);
    CHECK(is_error(rig.session->serve(), UserError::kBadFlags));
    CHECK_FALSE(rig.peer.receive());
  }
  Rig rig;
  rig.peer.send(Command::kRegionWrite, access(0, 3, 1, kOne), 0, kNoReply);
  rig.peer.send(Command::kRegionWrite, access(9, 3, 1, kOne), 0, kNoReply);
  CHECK(rig.session->serve());
  CHECK(rig.session->serve());
  CHECK_FALSE(rig.peer.receive());
  CHECK(rig.device.writes == 1);
  CHECK(rig.is_alive());
}

TEST_CASE("regions are described, with as much as there is room for", "[server]") {
  Rig rig;
  const auto small = rig.ask(Command::kGetRegionInfo, to_bytes(RegionInfo{}));
  REQUIRE(small);
  const auto head = exactly_as<RegionInfo>(small->payload);
  REQUIRE(head);
  CHECK(head->argsz == 64);
  CHECK(head->flags ==
        (RegionInfo::kRead | RegionInfo::kWrite | RegionInfo::kMap | RegionInfo::kCapabilities));
  CHECK(head->capabilities == 0);

  const auto whole = rig.ask(Command::kGetRegionInfo, to_bytes(RegionInfo{.argsz = 64}));
  REQUIRE(whole);
  CHECK(whole->fds.size() == 1);
  const auto info = vfio::parse_region_info(whole->payload);
  REQUIRE(info);
  CHECK(info->bytes == TestDevice::kMemory);
  CHECK(info->file_offset == kPage);
  CHECK(info->mappable == std::vector<vfio::RegionArea>{{.offset = 2 * kPage, .bytes = 2 * kPage}});
}

TEST_CASE("several small writes are done as far as they go", "[server]") {
  Rig rig;
  const SmallWrite good{.offset = 8, .region = 0, .count = 1, .data = {std::byte{5}}};
  SmallWrite bad = good;
  bad.count = 9;
  for (const auto& [writes, done] : std::vector<std::pair<std::vector<SmallWrite>, std::uint64_t>>{
           {{good, good}, 2}, {{good, bad, good}, 1}, {{}, 0}}) {
    const auto answer = rig.ask(Command::kRegionWriteMulti, small_writes(writes.size(), writes));
    REQUIRE(answer);
    CHECK(exactly_as<std::uint64_t>(answer->payload) == done);
  }
  CHECK(rig.device.memory[8] == std::byte{5});
}

TEST_CASE("what a client leaves behind is taken back", "[server]") {
  Rig rig;
  const std::size_t before = open_fds();
  CHECK(rig.error_of(Command::kDmaMap, map(0, kPage), 1) == 0);
  CHECK(rig.error_of(Command::kDmaMap, map(kPage, kPage)) == 0);
  CHECK(rig.error_of(Command::kSetIrqs, irqs(IrqSet::kDataFds | IrqSet::kTrigger, 2, 0, 3), 3) ==
        0);
  CHECK(open_fds() == before + 3);
  CHECK(rig.device.mappings == 2);
  rig.peer.close();
  CHECK(*rig.session->serve() == Event::kClosed);
  rig.session.reset();
  CHECK(open_fds() == before - 2);
  CHECK(rig.device.mappings == 0);
  CHECK(rig.device.detachments == 1);
}

TEST_CASE("all memory is taken back at once", "[server]") {
  Rig rig;
  CHECK(rig.error_of(Command::kDmaMap, map(0, kPage), 1) == 0);
  CHECK(rig.error_of(Command::kDmaMap, map(~std::uint64_t{0} - kPage + 1, kPage)) == 0);
  CHECK(rig.error_of(Command::kDmaUnmap, unmap(0, 0, DmaUnmap::kAll)) == 0);
  CHECK(rig.device.mappings == 0);
}

TEST_CASE("answers to the device's own commands are checked", "[server][hostile]") {
  const Transfer transfer{.iova = 0, .offset = 0, .bytes = 16, .to_memory = 0, .interrupt = 0};
  const Bytes write = access(2, 0, sizeof(transfer), to_bytes(transfer));
  struct Case {
    const char* name;
    std::function<void(RawPeer&)> answer;
    bool ends;
  };
  const auto say = [](std::size_t bytes, std::size_t fds = 0) {
    return [=](RawPeer& peer) { peer.send(Command::kDmaRead, Bytes(bytes), fds, kReply, 0); };
  };
  const Case cases[] = {
      {"short", say(15), false},
      {"no data", say(16), false},
      {"too little", say(31), false},
      {"too much", say(33), false},
      {"descriptors", say(32, 2), false},
      {"an error", [](RawPeer& peer) { peer.send(Command::kDmaRead, {}, 0, kReply | kError, 0); },
       false},
      {"another number",
       [](RawPeer& peer) { peer.send(Command::kDmaRead, Bytes(32), 0, kReply, 1); }, true},
      {"another command",
       [](RawPeer& peer) { peer.send(Command::kDmaWrite, Bytes(32), 0, kReply, 0); }, true},
      {"the end", [](RawPeer& peer) { peer.close(); }, true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.name);
    const std::size_t before = open_fds();
    {
      Rig rig;
      REQUIRE(rig.error_of(Command::kDmaMap, map(0, kPage)) == 0);
      rig.peer.send(Command::kRegionWrite, write);
      one.answer(rig.peer);
      const auto served = rig.session->serve();
      CHECK(served.has_value() != one.ends);
      if (!one.ends) {
        const auto asked = rig.peer.receive();
        REQUIRE((asked && asked->header.command == 11));
        CHECK(exactly_as<DmaAccess>(asked->payload)->count == 16);
        const auto answer = rig.peer.receive();
        REQUIRE(answer);
        CHECK(answer->failed());
        CHECK(rig.is_alive());
      }
    }
    CHECK(open_fds() == before);
  }
}

TEST_CASE("a client's commands wait while the device reaches for memory", "[server]") {
  Rig rig;
  REQUIRE(rig.error_of(Command::kDmaMap, map(0, kPage)) == 0);
  const Transfer transfer{.iova = 0, .offset = 0, .bytes = 4, .to_memory = 0, .interrupt = 0};
  rig.peer.send(Command::kRegionWrite, access(2, 0, sizeof(transfer), to_bytes(transfer)), 0, 0,
                10);
  rig.peer.send(Command::kRegionRead, access(0, 0, 4), 0, 0, 11);
  rig.peer.send(Command::kDmaRead,
                to_bytes(DmaAccess{.iova = 0, .count = 4}) + Bytes(4, std::byte{9}), 0, kReply, 0);
  REQUIRE(rig.session->serve());
  CHECK(rig.session->has_kept());
  REQUIRE(rig.session->serve());
  CHECK(rig.peer.receive()->header.command == 11);
  CHECK(rig.peer.receive()->header.id == 10);
  const auto read = rig.peer.receive();
  REQUIRE(read);
  CHECK(read->header.id == 11);
  CHECK(read->payload == access(0, 0, 4, Bytes(4, std::byte{9})));
}

}  // namespace
}  // namespace vmm::vfio_user
