// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost_user/frontend_request.h"

#include <limits>
#include <set>
#include <string>

#include "raw_peer.h"

namespace vmm::vhost_user {
namespace {

using Code = FrontendCode;

constexpr std::uint64_t kTop = std::numeric_limits<std::uint64_t>::max();

Bytes number(std::uint64_t value) { return to_bytes(value); }
Bytes state(std::uint32_t index, std::uint32_t value) { return to_bytes(VringState{index, value}); }

constexpr MemoryRegion kRegion{
    .guest_address = 0x1000, .bytes = 0x1000, .user_address = 0x7000'0000, .mmap_offset = 0};
constexpr VringAddresses kRings{
    .index = 1, .flags = 1, .descriptors = 0x10, .used = 0x14, .available = 0x12, .log = 3};
constexpr IotlbMessage kUpdate{
    .iova = 0x1000, .bytes = 0x1000, .user_address = 0x2000, .permission = 3, .type = 2};
constexpr SharedObjectId kObject{{1, 2, 3}};

Bytes table(std::uint32_t count, std::uint32_t padding = 0) {
  Bytes bytes = to_bytes(MemoryTableHeader{count, padding});
  for (std::uint32_t i = 0; i < count; ++i) bytes = bytes + to_bytes(kRegion);
  return bytes;
}
Bytes config(ConfigHeader part, std::size_t bytes) {
  return to_bytes(part) + Bytes(bytes, std::byte{7});
}

struct Good {
  Code code;
  Bytes payload;
  std::size_t fds = 0;
};

// One good message of each kind, in the order of their codes.
std::vector<Good> good_messages() {
  return {
      {Code::kGetFeatures, {}},
      {Code::kSetFeatures, number(1)},
      {Code::kSetOwner, {}},
      {Code::kResetOwner, {}},
      {Code::kSetMemTable, table(2), 2},
      {Code::kSetLogBase, to_bytes(LogArea{.bytes = 0x1000}), 1},
      {Code::kSetLogFd, {}, 1},
      {Code::kSetVringNum, state(1, 256)},
      {Code::kSetVringAddr, to_bytes(kRings)},
      {Code::kSetVringBase, state(1, 7)},
      {Code::kGetVringBase, state(1, 0)},
      {Code::kSetVringKick, number(1), 1},
      {Code::kSetVringCall, number(1), 1},
      {Code::kSetVringErr, number(1), 1},
      {Code::kGetProtocolFeatures, {}},
      {Code::kSetProtocolFeatures, number(1)},
      {Code::kGetQueueNum, {}},
      {Code::kSetVringEnable, state(1, 1)},
      {Code::kSendRarp, number(0x665544332211)},
      {Code::kNetSetMtu, number(1500)},
      {Code::kSetBackendReqFd, {}, 1},
      {Code::kIotlbMsg, to_bytes(kUpdate)},
      {Code::kSetVringEndian, state(1, 1)},
      {Code::kGetConfig, config({.offset = 4, .bytes = 8}, 8)},
      {Code::kSetConfig, config({.offset = 4, .bytes = 8, .flags = 1}, 8)},
      {Code::kCreateCryptoSession, Bytes(100)},
      {Code::kCloseCryptoSession, number(5)},
      {Code::kPostcopyAdvise, {}},
      {Code::kPostcopyListen, {}},
      {Code::kPostcopyEnd, {}},
      {Code::kGetInflightFd, to_bytes(InflightArea{.queue_count = 1, .queue_size = 128})},
      {Code::kSetInflightFd,
       to_bytes(InflightArea{.mmap_bytes = 0x1000, .queue_count = 1, .queue_size = 128}), 1},
      {Code::kGpuSetSocket, {}, 1},
      {Code::kResetDevice, {}},
      {Code::kVringKick, state(1, 0)},
      {Code::kGetMaxMemSlots, {}},
      {Code::kAddMemReg, to_bytes(SingleRegion{0, kRegion}), 1},
      {Code::kRemMemReg, to_bytes(SingleRegion{0, kRegion})},
      {Code::kSetStatus, number(0xf)},
      {Code::kGetStatus, {}},
      {Code::kGetSharedObject, to_bytes(kObject)},
      {Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{.direction = 1}), 1},
      {Code::kCheckDeviceState, {}},
      {Code::kGetShmemConfig, {}},
  };
}

/// Parses one message with so many descriptors.
struct Parsed {
  Parsed(Code code, Bytes bytes, std::size_t fd_count, std::uint32_t flags = kVersion)
      : payload(std::move(bytes)), fds(fd_count) {
    for (UniqueFd& fd : fds) fd.reset(::dup(0));
    result.emplace(parse_frontend({.header = {.request = static_cast<std::uint32_t>(code),
                                              .flags = flags,
                                              .size = static_cast<std::uint32_t>(payload.size())},
                                   .payload = payload,
                                   .fds = fds}));
  }
  [[nodiscard]] std::optional<MessageError> error() const {
    if (result->has_value()) return std::nullopt;
    return result->error();
  }

  Bytes payload;
  std::vector<UniqueFd> fds;
  std::optional<Result<FrontendRequest, MessageError>> result;
};

TEST_CASE("each request is understood, as the one that it is", "[request]") {
  std::size_t index = 0;
  for (const Good& good : good_messages()) {
    CAPTURE(static_cast<unsigned>(good.code));
    CHECK(static_cast<std::size_t>(good.code) == index + 1);
    const Parsed parsed(good.code, good.payload, good.fds);
    REQUIRE_FALSE(parsed.error());
    CHECK((*parsed.result)->index() == index);
    ++index;
  }
  CHECK(index == std::variant_size_v<FrontendRequest>);
}

TEST_CASE("requests say what they were sent", "[request]") {
  const auto get = [](Code code, const Bytes& payload, std::size_t fds = 0) {
    Parsed parsed(code, payload, fds);
    REQUIRE_FALSE(parsed.error());
    return std::move(**parsed.result);
  };
  CHECK(std::get<request::SetFeatures>(get(Code::kSetFeatures, number(kTop))).features == kTop);
  const auto rarp = std::get<request::SendRarp>(get(Code::kSendRarp, number(0x665544332211)));
  CHECK(rarp.mac == std::array<std::uint8_t, 6>{0x11, 0x22, 0x33, 0x44, 0x55, 0x66});
  const auto kick = get(Code::kSetVringKick, number(7), 1);
  CHECK(*queue_of(kick) == 7);
  CHECK(std::get<request::SetVringKick>(kick).fd);
  const auto call = get(Code::kSetVringCall, number(7 | kNoFd));
  CHECK(*queue_of(call) == 7);
  CHECK_FALSE(std::get<request::SetVringCall>(call).fd);
  const auto rings = get(Code::kSetVringAddr, to_bytes(kRings));
  CHECK(std::get<request::SetVringAddr>(rings).addresses == kRings);
  CHECK(*queue_of(rings) == 1);
  CHECK(queue_of(get(Code::kSetOwner, {})) == nullptr);
  const auto enable = std::get<request::SetVringEnable>(get(Code::kSetVringEnable, state(3, 0)));
  CHECK(enable.index == 3);
  CHECK_FALSE(enable.enable);
  Parsed config_message(Code::kSetConfig, config({.offset = 4, .bytes = 2}, 2), 0);
  const auto& set = std::get<request::SetConfig>(**config_message.result);
  CHECK(set.part.offset == 4);
  CHECK(set.data.size() == 2);
  CHECK(set.data[1] == std::byte{7});
  // The short form, as some send it.
  Bytes inflight = to_bytes(InflightArea{.queue_count = 3, .queue_size = 128});
  inflight.resize(InflightArea::kShortBytes);
  CHECK(std::get<request::GetInflightFd>(get(Code::kGetInflightFd, inflight)).queue_count == 3);
  CHECK(std::get<request::SetMemTable>(get(Code::kSetMemTable, table(32), 32)).regions.size() ==
        32);
  CHECK(std::get<request::SetMemTable>(get(Code::kSetMemTable, number(0))).regions.empty());
  CHECK_FALSE(std::get<request::AddMemReg>(get(Code::kAddMemReg, number(0))).file.fd);
}

TEST_CASE("payloads of another size are refused", "[request][hostile]") {
  for (const Good& good : good_messages()) {
    if (good.code == Code::kCreateCryptoSession) continue;  // as long as it likes
    CAPTURE(static_cast<unsigned>(good.code));
    const std::size_t right = good.payload.size();
    for (const std::size_t size :
         {std::size_t{0}, right / 2, right - 1, right + 1, right + 8, kMaxPayload}) {
      if (size > kMaxPayload || size == right) continue;
      CAPTURE(size);
      Bytes payload = good.payload;
      payload.resize(size);
      CHECK(Parsed(good.code, payload, good.fds).error() == MessageError::kBadSize);
    }
  }
  CHECK(Parsed(Code::kCreateCryptoSession, {}, 0).error() == MessageError::kBadSize);
}

TEST_CASE("descriptors are neither missing nor too many, and stay with a bad message",
          "[request][hostile]") {
  for (const Good& good : good_messages()) {
    for (const std::size_t fds : {0u, 1u, 2u, 3u, 8u, 32u}) {
      if (fds == good.fds) continue;
      if (good.code == Code::kRemMemReg && fds == 1) continue;  // put up with
      CAPTURE(static_cast<unsigned>(good.code), fds);
      const Parsed parsed(good.code, good.payload, fds);
      CHECK(parsed.error() == MessageError::kBadFdCount);
      for (const UniqueFd& fd : parsed.fds) CHECK(fd);
    }
  }
}

TEST_CASE("replies and unknown requests are refused", "[request][hostile]") {
  for (const Good& good : good_messages()) {
    CHECK(Parsed(good.code, good.payload, good.fds, kVersion | kReply).error() ==
          MessageError::kReplyFlag);
  }
  for (const std::uint32_t code : {0u, 45u, 46u, 100u, 0x8000'0000u, 0xffff'ffffu}) {
    CHECK(Parsed(static_cast<Code>(code), {}, 0).error() == MessageError::kUnknownCode);
  }
}

struct Bad {
  const char* what;
  Code code;
  Bytes payload;
  std::size_t fds;
  MessageError error;
};

TEST_CASE("each field of each message is checked", "[request][hostile]") {
  using enum MessageError;
  const auto region = [](std::uint64_t guest, std::uint64_t bytes, std::uint64_t user,
                         std::uint64_t offset) {
    return to_bytes(MemoryRegion{guest, bytes, user, offset});
  };
  const auto one = [](const Bytes& bytes) { return to_bytes(MemoryTableHeader{1, 0}) + bytes; };
  const auto single = [](std::uint64_t padding, const Bytes& bytes) {
    return to_bytes(padding) + bytes;
  };
  const auto rings = [](auto change) {
    VringAddresses addresses = kRings;
    change(addresses);
    return to_bytes(addresses);
  };
  const auto iotlb = [](auto change) {
    IotlbMessage message = kUpdate;
    change(message);
    return to_bytes(message);
  };
  const auto area = [](std::uint64_t bytes, std::uint64_t offset, std::uint16_t queues,
                       std::uint16_t size) {
    return to_bytes(InflightArea{bytes, offset, queues, size});
  };
  SharedObjectId ones;
  ones.uuid.fill(0xff);
  const Bad cases[] = {
      {"no regions with a descriptor", Code::kSetMemTable, table(0), 1, kBadFdCount},
      {"an acknowledgement with a descriptor", Code::kAddMemReg, number(0), 1, kBadFdCount},
      {"an acknowledgement of a failure", Code::kAddMemReg, number(1), 0, kBadSize},
      {"too many regions", Code::kSetMemTable, table(33), 32, kBadValue},
      {"a count that lies", Code::kSetMemTable, to_bytes(MemoryTableHeader{kMaxTableRegions, 0}), 0,
       kBadSize},
      {"a huge count", Code::kSetMemTable, to_bytes(MemoryTableHeader{0xffff'ffff, 0}), 0,
       kBadValue},
      {"padding of a table", Code::kSetMemTable, table(1, 1), 1, kBadPadding},
      {"an empty region", Code::kSetMemTable, one(region(0, 0, 0, 0)), 1, kBadRange},
      {"guest address wraps", Code::kSetMemTable, one(region(kTop - 0xfff, 0x1000, 0, 0)), 1,
       kBadRange},
      {"user address wraps", Code::kSetMemTable, one(region(0, 0x1000, kTop - 0xfff, 0)), 1,
       kBadRange},
      {"offset wraps", Code::kSetMemTable, one(region(0, 0x1000, 0, kTop - 0xfff)), 1, kBadRange},
      {"a size that wraps", Code::kSetMemTable, one(region(0x1000, kTop, 0x1000, 0)), 1, kBadRange},
      {"padding of one region", Code::kAddMemReg, single(1, to_bytes(kRegion)), 1, kBadPadding},
      {"one empty region", Code::kAddMemReg, single(0, region(0, 0, 0, 0)), 1, kBadRange},
      {"one region wraps", Code::kAddMemReg, single(0, region(kTop, 0x1000, 0, 0)), 1, kBadRange},
      {"padding of a region to go", Code::kRemMemReg, single(1, to_bytes(kRegion)), 0, kBadPadding},
      {"an empty region to go", Code::kRemMemReg, single(0, region(0, 0, 0, 0)), 0, kBadRange},
      {"an empty log", Code::kSetLogBase, to_bytes(LogArea{0, 0}), 1, kBadRange},
      {"a log that wraps", Code::kSetLogBase, to_bytes(LogArea{2, kTop}), 1, kBadRange},
      {"a ring of 0", Code::kSetVringNum, state(0, 0), 0, kBadValue},
      {"a ring too large", Code::kSetVringNum, state(0, 32769), 0, kBadValue},
      {"a ring of 2^32 - 1", Code::kSetVringNum, state(0, 0xffff'ffff), 0, kBadValue},
      {"flags of rings", Code::kSetVringAddr, rings([](auto& a) { a.flags = 2; }), 0, kBadFlags},
      {"odd descriptors", Code::kSetVringAddr, rings([](auto& a) { a.descriptors = 8; }), 0,
       kBadAlignment},
      {"odd available ring", Code::kSetVringAddr, rings([](auto& a) { a.available = 1; }), 0,
       kBadAlignment},
      {"odd used ring", Code::kSetVringAddr, rings([](auto& a) { a.used = 2; }), 0, kBadAlignment},
      {"bits of a kick", Code::kSetVringKick, number(0x200), 1, kBadFlags},
      {"high bits of a call", Code::kSetVringCall, number(std::uint64_t{1} << 32), 1, kBadFlags},
      {"high bits of an error", Code::kSetVringErr, number(std::uint64_t{1} << 63), 1, kBadFlags},
      {"a kick with both", Code::kSetVringKick, number(kNoFd), 1, kBadFdCount},
      {"a kick with neither", Code::kSetVringKick, number(0), 0, kBadFdCount},
      {"a call with both", Code::kSetVringCall, number(kNoFd), 1, kBadFdCount},
      {"an error with neither", Code::kSetVringErr, number(0), 0, kBadFdCount},
      {"half enabled", Code::kSetVringEnable, state(0, 2), 0, kBadValue},
      {"neither endian", Code::kSetVringEndian, state(0, 2), 0, kBadValue},
      {"a kick's number", Code::kVringKick, state(0, 1), 0, kBadPadding},
      {"an MTU of 0", Code::kNetSetMtu, number(0), 0, kBadValue},
      {"an MTU of 65536", Code::kNetSetMtu, number(65536), 0, kBadValue},
      {"IOTLB permissions", Code::kIotlbMsg, iotlb([](auto& m) { m.permission = 4; }), 0,
       kBadFlags},
      {"an IOTLB range of no bytes at 0", Code::kIotlbMsg,
       iotlb([](auto& m) { m.iova = m.bytes = m.user_address = 0; }), 0, kBadRange},
      {"an IOTLB miss", Code::kIotlbMsg, iotlb([](auto& m) { m.type = 1; }), 0, kBadValue},
      {"an IOTLB failure", Code::kIotlbMsg, iotlb([](auto& m) { m.type = 4; }), 0, kBadValue},
      {"IOTLB batches", Code::kIotlbMsg, iotlb([](auto& m) { m.type = 5; }), 0, kBadValue},
      {"an empty IOTLB range", Code::kIotlbMsg, iotlb([](auto& m) { m.bytes = 0; }), 0, kBadRange},
      {"IOVAs wrap", Code::kIotlbMsg, iotlb([](auto& m) { m.iova = kTop; }), 0, kBadRange},
      {"IOTLB addresses wrap", Code::kIotlbMsg, iotlb([](auto& m) { m.user_address = kTop; }), 0,
       kBadRange},
      {"configuration flags", Code::kGetConfig, config({0, 4, 4}, 4), 0, kBadFlags},
      {"no configuration", Code::kGetConfig, config({0, 0, 0}, 0), 0, kBadRange},
      {"configuration beyond the end", Code::kGetConfig, config({4093, 4, 0}, 4), 0, kBadRange},
      {"a configuration offset that wraps", Code::kSetConfig, config({0xffff'ffff, 4, 0}, 4), 0,
       kBadRange},
      {"a configuration size that lies", Code::kSetConfig, config({0, 8, 0}, 4), 0, kBadSize},
      {"no queues in flight", Code::kGetInflightFd, area(0, 0, 0, 128), 0, kBadValue},
      {"queues of 0 in flight", Code::kGetInflightFd, area(0, 0, 1, 0), 0, kBadValue},
      {"no inflight memory", Code::kSetInflightFd, area(0, 0, 1, 128), 1, kBadRange},
      {"inflight memory wraps", Code::kSetInflightFd, area(2, kTop, 1, 128), 1, kBadRange},
      {"a status of 9 bits", Code::kSetStatus, number(0x100), 0, kBadValue},
      {"no object", Code::kGetSharedObject, to_bytes(SharedObjectId{}), 0, kBadValue},
      {"an object of ones", Code::kGetSharedObject, to_bytes(ones), 0, kBadValue},
      {"a third direction", Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{2, 0}), 1,
       kBadValue},
      {"a second phase", Code::kSetDeviceStateFd, to_bytes(DeviceStateTransfer{0, 1}), 1,
       kBadValue},
  };
  for (const Bad& bad : cases) {
    CAPTURE(bad.what);
    CHECK(Parsed(bad.code, bad.payload, bad.fds).error() == bad.error);
  }
}

TEST_CASE("ranges may reach the end of the address space, not beyond", "[request]") {
  CHECK(is_possible({.guest_address = 0xffff'ffff'ffff'efff, .bytes = 0x1000}));
  CHECK_FALSE(is_possible({.guest_address = 0xffff'ffff'ffff'f000, .bytes = 0x1000}));
  IotlbMessage top = kUpdate;
  top.iova = kTop - 0xfff;
  CHECK_FALSE(Parsed(Code::kIotlbMsg, to_bytes(top), 0).error());
}

}  // namespace
}  // namespace vmm::vhost_user
