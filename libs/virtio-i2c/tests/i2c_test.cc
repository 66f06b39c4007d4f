// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/i2c.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"
#include "vmm/virtio_i2c/simulated_adapter.h"

namespace vmm::virtio_i2c {
namespace {

using virtio_device::testing::Answer;
using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::HostileChain;
using virtio_device::testing::Request;
using virtio_device::testing::RigOptions;

constexpr Address kChip{.number = 0x50};
constexpr Address kOther{.number = 0x51};
constexpr Address kFar{.number = 0x3ff, .ten_bit = true};
constexpr std::uint32_t kFailNext = 1;
constexpr std::uint32_t kRead = 2;
constexpr std::byte kOk{0};
constexpr std::byte kError{1};

/// Memory chips that remember how they were spoken to: "w50:2 r50:1" is one transaction.
class Recorder final : public Adapter {
 public:
  explicit Recorder(std::span<const Address> chips) : chips_(*SimulatedAdapter::create(chips)) {}

  Result<void> transfer(std::span<const Message> messages) override {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    for (const Message& message : messages) {
      if (!text.empty()) text += ' ';
      text += message.read ? 'r' : 'w';
      text += kDigits[message.address.number >> 4 & 15];
      text += kDigits[message.address.number & 15];
      text += ':' + std::to_string(message.data.size());
    }
    transactions.push_back(text);
    return chips_->transfer(messages);
  }
  [[nodiscard]] SimulatedAdapter& chips() { return *chips_; }

  std::vector<std::string> transactions;

 private:
  std::shared_ptr<SimulatedAdapter> chips_;
};

/// A device with two buses: 0x50 and 0x3ff on the first, 0x51 on the second. There is a chip at
/// 0x52 too, which the list does not allow, and none at 0x53, which it does.
struct Board {
  explicit Board(RigOptions options = {})
      : first(std::make_shared<Recorder>(std::array{kChip, kFar, Address{.number = 0x52}})),
        second(std::make_shared<Recorder>(std::array{kOther})),
        device(*I2c::create({{first, {kChip, kFar, {.number = 0x53}}}, {second, {kOther}}})),
        rig(device, with_feature(options)) {
    REQUIRE(rig.start());
  }
  static RigOptions with_feature(RigOptions options) {
    options.features |= kFeatureZeroLengthRequest;
    return options;
  }

  static Bytes header(std::uint16_t address, std::uint32_t flags) {
    Bytes bytes(8);
    store_le(&bytes[0], address);
    store_le(&bytes[4], flags);
    return bytes;
  }
  static Request write(Address to, const Bytes& data, std::uint32_t flags = 0) {
    Request request{.readable = {header(to.to_wire(), flags)}, .writable = {1}};
    if (!data.empty()) request.readable.push_back(data);
    return request;
  }
  static Request read(Address from, std::uint32_t bytes, std::uint32_t flags = 0) {
    Request request{.readable = {header(from.to_wire(), flags | kRead)}, .writable = {}};
    if (bytes != 0) request.writable.push_back(bytes);
    request.writable.push_back(1);
    return request;
  }
  /// All are there before the device looks; the last byte of each answer is its status.
  std::vector<Answer> exchange(const std::vector<Request>& requests) {
    for (const Request& request : requests) REQUIRE(rig.send(0, request));
    std::vector<Answer> answers;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const auto answer = rig.wait(0);
      REQUIRE(answer);
      answers.push_back(*answer);
    }
    return answers;
  }
  std::vector<std::byte> statuses(const std::vector<Request>& requests) {
    std::vector<std::byte> statuses;
    for (const Answer& answer : exchange(requests)) statuses.push_back(answer.bytes.back());
    return statuses;
  }
  [[nodiscard]] bool works() { return statuses({read(kChip, 1)}) == std::vector{kOk}; }

  std::shared_ptr<Recorder> first, second;
  std::shared_ptr<I2c> device;
  DeviceRig rig;
};

Bytes bytes(std::initializer_list<int> values) {
  Bytes result;
  for (const int value : values) result.push_back(static_cast<std::byte>(value));
  return result;
}

TEST_CASE("what an I2C device is", "[i2c]") {
  Board board;
  CHECK(board.device->type() == virtio_device::DeviceType::kI2c);
  CHECK(std::ranges::equal(board.device->queue_sizes(), std::array{256}));
  CHECK((board.device->features() & kFeatureZeroLengthRequest) != 0);
  CHECK(board.device->config_bytes() == 0);
  CHECK(board.rig.config<std::uint32_t>(0) == 0);
  board.rig.set_config<std::uint32_t>(0, 1);
  Bytes nothing;
  board.device->read_config(nothing);
  board.device->write_config(0, nothing);
  CHECK(board.works());
}

TEST_CASE("a driver writes to a chip and reads it back", "[i2c]") {
  for (const bool packed : {false, true}) {
    for (const bool in_order : {false, true}) {
      Board board({.packed = packed, .in_order = in_order});
      const auto written = board.exchange({Board::write(kChip, bytes({16, 1, 2, 3}))});
      CHECK(written[0].written == 1);
      CHECK(written[0].bytes == Bytes{kOk});
      const auto read =
          board.exchange({Board::write(kChip, bytes({17}), kFailNext), Board::read(kChip, 2)});
      CHECK(read[0].bytes == Bytes{kOk});
      CHECK(read[1].written == 3);
      CHECK(read[1].bytes == bytes({2, 3, 0}));
      CHECK(board.first->transactions == std::vector<std::string>{"w50:4", "w50:1 r50:2"});
    }
  }
}

TEST_CASE("a request is the same however the driver cuts it", "[i2c]") {
  Board board;
  Bytes all = Board::header(kChip.to_wire(), 0);
  for (const std::byte byte : bytes({16, 7, 8})) all.push_back(byte);
  Request in_bytes{.readable = {}, .writable = {1}};
  for (const std::byte byte : all) in_bytes.readable.push_back({byte});
  CHECK(board.statuses({{.readable = {all}, .writable = {1}}, in_bytes}) == std::vector{kOk, kOk});
  Request read = Board::read(kChip, 0);
  read.writable = {5};  // the data and the status
  const auto answers = board.exchange({Board::write(kChip, bytes({16})), read});
  CHECK(answers[1].bytes == bytes({7, 8, 0, 0, 0}));
  CHECK(answers[1].written == 5);
}

TEST_CASE("requests without data ask only whether somebody is there", "[i2c]") {
  Board board;
  CHECK(board.statuses({Board::write(kChip, {}), Board::read(kChip, 0), Board::write(kFar, {}),
                        Board::write({.number = 0x53}, {})}) == std::vector{kOk, kOk, kOk, kError});
  CHECK(board.first->transactions == std::vector<std::string>{"w50:0", "r50:0", "wff:0", "w53:0"});
}

TEST_CASE("addresses that are not in the list are not reached", "[i2c]") {
  Board board;
  CHECK(board.statuses({Board::write({.number = 0x52}, bytes({0, 1})),
                        Board::read({.number = 0x52}, 1),
                        Board::write({.number = 0x50, .ten_bit = true}, {})}) ==
        std::vector{kError, kError, kError});
  CHECK(board.first->transactions.empty());
}

TEST_CASE("when a request fails the rest of its group is not executed", "[i2c]") {
  struct Row {
    const char* name;
    std::vector<Request> requests;
    std::vector<std::byte> statuses;
    std::vector<std::string> first;
    std::vector<std::string> second;
  };
  const Request bad = Board::write({.number = 0x52}, bytes({0}), kFailNext);
  const std::vector<Row> rows{
      {"no group",
       {Board::write({.number = 0x52}, {}), Board::read(kChip, 1)},
       {kError, kOk},
       {"r50:1"},
       {}},
      {"the first",
       {bad, Board::read(kChip, 1), Board::read(kChip, 2)},
       {kError, kError, kOk},
       {"r50:2"},
       {}},
      {"in the middle",
       {Board::write(kChip, bytes({1}), kFailNext), bad, Board::read(kChip, 1),
        Board::read(kChip, 2)},
       {kOk, kError, kError, kOk},
       {"w50:1", "r50:2"},
       {}},
      {"the bus says no",
       {Board::write(kChip, bytes({1}), kFailNext), Board::write({.number = 0x53}, {}, kFailNext),
        Board::read(kOther, 1), Board::read(kChip, 2)},
       {kError, kError, kError, kOk},
       {"w50:1 w53:0", "r50:2"},
       {}},
      {"two buses",
       {Board::write(kChip, bytes({1}), kFailNext), Board::write(kOther, bytes({1}), kFailNext),
        Board::read(kOther, 1, kFailNext), Board::read(kChip, 1)},
       {kOk, kOk, kOk, kOk},
       {"w50:1", "r50:1"},
       {"w51:1 r51:1"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    Board board;
    CHECK(board.statuses(row.requests) == row.statuses);
    CHECK(board.first->transactions == row.first);
    CHECK(board.second->transactions == row.second);
  }
}

TEST_CASE("a group may come one request at a time", "[i2c]") {
  Board board;
  CHECK(board.statuses({Board::write(kChip, bytes({16}), kFailNext)}) == std::vector{kOk});
  CHECK(board.statuses({Board::read(kChip, 1)}) == std::vector{kOk});
  CHECK(board.statuses({Board::write({.number = 0x53}, {}, kFailNext)}) == std::vector{kError});
  CHECK(board.statuses({Board::read(kChip, 1, kFailNext)}) == std::vector{kError});
  CHECK(board.statuses({Board::read(kChip, 1)}) == std::vector{kError});
  CHECK(board.works());
}

TEST_CASE("a group does not outlive a reset", "[i2c]") {
  Board board;
  CHECK(board.statuses({Board::write({.number = 0x53}, {}, kFailNext)}) == std::vector{kError});
  REQUIRE(board.rig.start());
  CHECK(board.works());
}

TEST_CASE("groups longer than a transaction are executed in parts", "[i2c]") {
  Board board({.queue_size = 256});
  std::vector<Request> requests(Adapter::kMaxMessages, Board::write(kChip, {}, kFailNext));
  requests.push_back(Board::read(kChip, 1));
  const auto statuses = board.statuses(requests);
  CHECK(std::ranges::count(statuses, kOk) == Adapter::kMaxMessages + 1);
  REQUIRE(board.first->transactions.size() == 2);
  CHECK(board.first->transactions[1] == "r50:1");
}

TEST_CASE("messages have a longest length", "[i2c][hostile]") {
  Board board;
  const auto most = static_cast<std::uint32_t>(Adapter::kMaxMessageBytes);
  CHECK(board.statuses({Board::write(kChip, Bytes(most)), Board::read(kChip, most)}) ==
        std::vector{kOk, kOk});
  const auto answers =
      board.exchange({Board::write(kChip, Bytes(most + 1)), Board::read(kChip, most + 1)});
  CHECK(answers[0].bytes.back() == kError);
  CHECK(answers[1].bytes.back() == kError);
  CHECK(answers[1].bytes.front() == DeviceRig::kUntouched);
  CHECK(board.first->transactions == std::vector<std::string>{"w50:8192", "r50:8192"});
}

TEST_CASE("requests of another form fail", "[i2c][hostile]") {
  const std::uint16_t chip = kChip.to_wire();
  struct Row {
    const char* name;
    Request request;
  };
  const std::vector<Row> rows{
      {"no header", {.readable = {}, .writable = {1}}},
      {"half a header", {.readable = {Bytes(7)}, .writable = {1}}},
      {"an unknown flag", {.readable = {Board::header(chip, 4)}, .writable = {1}}},
      {"all flags", {.readable = {Board::header(chip, 0xffff'fffe)}, .writable = {1}}},
      {"an address that is none", {.readable = {Board::header(0xffff, 0)}, .writable = {1}}},
      {"an odd address", {.readable = {Board::header(chip | 1, 0)}, .writable = {1}}},
      {"a write with room for data", {.readable = {Board::header(chip, 0)}, .writable = {4, 1}}},
      {"a read with data",
       {.readable = {Board::header(chip, kRead), Bytes(1)}, .writable = {1, 1}}},
  };
  Board board;
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto answers = board.exchange({row.request});
    CHECK(answers[0].bytes.back() == kError);
    CHECK(board.first->transactions.empty());
  }
  CHECK(board.works());
}

TEST_CASE("a request without a status comes back empty, and is not executed", "[i2c][hostile]") {
  Board board;
  Request request = Board::write(kChip, bytes({0, 1}));
  request.writable.clear();
  const auto answer = board.rig.exchange(0, request);
  REQUIRE(answer);
  CHECK(answer->written == 0);
  CHECK(board.first->transactions.empty());
  CHECK(board.works());
}

TEST_CASE("an I2C adapter outlives each hostile chain", "[i2c][hostile]") {
  for (const bool packed : {false, true}) {
    Board board({.packed = packed, .features = virtio_queue::kFeatureIndirect});
    for (const HostileChain& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(packed, chain.name);
      CHECK(outlive(board.rig, 0, chain) == "");
      CHECK(board.works());
    }
  }
}

TEST_CASE("what the I2C adapter writes is marked dirty", "[i2c]") {
  Board board({.dirty_tracking = true});
  const GuestAddress at = board.rig.heap().take(4096);
  const GuestAddress header = board.rig.heap().put(Board::header(kChip.to_wire(), kRead));
  const auto map = board.rig.heap().memory().snapshot();
  const vm_memory::Region& ram = *map->regions().front();
  const std::uint64_t offset = at.raw() - ram.base().raw();
  REQUIRE_FALSE(ram.dirty()->is_dirty(offset));
  using virtio_device::testing::Buffer;
  const std::array parts{Buffer{header, 8, false}, Buffer{at, 2, true}};
  REQUIRE(board.rig.send_raw(0, parts));
  REQUIRE(board.rig.wait(0));
  CHECK(ram.dirty()->is_dirty(offset));
}

TEST_CASE("more requests than one turn serves are all answered", "[i2c]") {
  Board board({.queue_size = 256});
  const std::vector<Request> requests(60, Board::read(kChip, 1));
  const auto statuses = board.statuses(requests);
  CHECK(std::ranges::count(statuses, kOk) == 60);
}

TEST_CASE("a driver without ZERO_LENGTH_REQUEST is refused", "[i2c]") {
  const auto adapter = std::make_shared<Recorder>(std::array{kChip});
  const auto device = *I2c::create({{adapter, {kChip}}});
  DeviceRig rig(device);
  CHECK_FALSE(rig.start());
  CHECK(rig.core().status() == (virtio_device::kAcknowledge | virtio_device::kDriver));
  // Where features are told without a way to refuse them.
  CHECK_FALSE(device->activate(
      {.memory = rig.heap().memory(), .features = 0, .queues = {}, .interrupt = nullptr}));
}

TEST_CASE("lists that make no device", "[i2c]") {
  const auto adapter = std::make_shared<Recorder>(std::array{kChip});
  CHECK_FALSE(I2c::create({}));
  CHECK_FALSE(I2c::create({{adapter, {}}}));
  CHECK_FALSE(I2c::create({{nullptr, {kChip}}}));
  CHECK_FALSE(I2c::create({{adapter, {{.number = 0x78}}}}));
  CHECK_FALSE(I2c::create({{adapter, {kChip, kChip}}}));
  CHECK_FALSE(I2c::create({{adapter, {kChip}}, {adapter, {kChip}}}));
  CHECK(I2c::create({{adapter, {kChip}}, {adapter, {kOther}}}));
}

}  // namespace
}  // namespace vmm::virtio_i2c
