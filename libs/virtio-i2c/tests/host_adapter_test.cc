// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_i2c/host_adapter.h"

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "fake_adapter.h"
#include "open_fds.h"
#include "vmm/virtio_i2c/i2c.h"

// What an adapter of the host does is tested where a kernel has one:
// tests/vhost-user/boards_test.py. Here, what the kernel is asked, and what becomes of its answers
// and errors.

namespace vmm::virtio_i2c {
namespace {

using testing::FakeAdapter;
using testing::Octets;

// As in the README.
Result<std::shared_ptr<I2c>> example() {
  VMM_TRY(auto bus, vmm::virtio_i2c::HostAdapter::open(1));  // /dev/i2c-1
  VMM_TRY(auto device, vmm::virtio_i2c::I2c::create({{bus, {{.number = 0x20}, {.number = 0x40}}}}));
  return device;
}

TEST_CASE("the README's example says what is missing", "[host]") {
  const auto device = example();
  if (!device) CHECK(device.error().code() != 0);
}

TEST_CASE("an adapter that is not there is an error", "[host]") {
  const auto nothing = HostAdapter::open("/nonexistent");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOENT));
  CHECK_FALSE(HostAdapter::open(4'000'000'000u));
}

TEST_CASE("a file that is no adapter is an error", "[host]") {
  const auto nothing = HostAdapter::open("/dev/null");
  REQUIRE_FALSE(nothing);
  CHECK(nothing.error().is_os(ENOTTY));
  CHECK(std::string(nothing.error().what()) == "I2C_FUNCS");
}

/// Runs `body` where `fake` is behind every adapter; what it leaves open is found.
void with(FakeAdapter& fake, const std::function<void()>& body) {
  const std::size_t before = open_fds();
  if (!vmm::testing::with_answers(FakeAdapter::kType, std::ref(fake), body)) {
    WARN("skipped: this kernel has no user notifications of seccomp");
    return;
  }
  CHECK(fake.wrong == "");
  CHECK(open_fds() == before);
}

std::shared_ptr<HostAdapter> open_adapter() {
  auto adapter = HostAdapter::open("/dev/null");
  REQUIRE(adapter);
  return *adapter;
}

template <class T>
void check_error(const Result<T>& result, int code, const char* what) {
  REQUIRE_FALSE(result);
  CHECK(result.error().is_os(code));
  CHECK(std::string(result.error().what()) == what);
}

/// Bytes of a message.
struct Buffer {
  explicit Buffer(std::size_t size) : bytes(size, std::byte{0xee}) {}
  explicit Buffer(const Octets& octets) : bytes(octets.size()) {
    for (std::size_t i = 0; i < octets.size(); ++i) bytes[i] = std::byte{octets[i]};
  }
  [[nodiscard]] Octets octets() const {
    Octets octets;
    for (const std::byte byte : bytes) octets.push_back(std::to_integer<std::uint8_t>(byte));
    return octets;
  }

  std::vector<std::byte> bytes;
};

constexpr std::array kErrors{ENXIO, EREMOTEIO, ETIMEDOUT, EAGAIN,     EIO,   EINVAL,
                             EBUSY, ENOMEM,    ENODEV,    EOPNOTSUPP, EINTR, ENOTTY};
constexpr Address kChip{.number = 0x50};
constexpr Address kFar{.number = 0x3ff, .ten_bit = true};
constexpr unsigned long kI2c = I2C_FUNC_I2C;
constexpr unsigned long kSmbus = I2C_FUNC_SMBUS_EMUL;

TEST_CASE("an adapter says what it can do; one that can do neither is an error", "[host]") {
  struct Row {
    unsigned long functions;
    bool good;
  };
  for (const Row& row :
       {Row{I2C_FUNC_I2C, true}, Row{I2C_FUNC_SMBUS_QUICK, true}, Row{I2C_FUNC_SMBUS_BYTE, true},
        Row{I2C_FUNC_SMBUS_WRITE_I2C_BLOCK, true}, Row{kI2c | kSmbus, true}, Row{0, false},
        Row{I2C_FUNC_10BIT_ADDR | I2C_FUNC_PROTOCOL_MANGLING, false},
        Row{I2C_FUNC_SMBUS_PEC, false}}) {
    CAPTURE(row.functions);
    FakeAdapter fake;
    fake.functions = row.functions;
    with(fake, [&] {
      const auto adapter = HostAdapter::open("/dev/null");
      CHECK(adapter.has_value() == row.good);
      if (!adapter) check_error(adapter, ENOTSUP, "I2C adapter without I2C and SMBus");
      CHECK(fake.requests == std::vector<unsigned long>{I2C_FUNCS});
    });
  }
  for (const int error : kErrors) {
    CAPTURE(error);
    FakeAdapter fake;
    fake.refused = {{I2C_FUNCS, error}};
    with(fake, [&] { check_error(HostAdapter::open("/dev/null"), error, "I2C_FUNCS"); });
  }
}

TEST_CASE("an adapter that can do I2C gets a transaction as one", "[host]") {
  FakeAdapter fake;
  fake.functions = kI2c | kSmbus | I2C_FUNC_10BIT_ADDR;
  fake.answer = {1, 2, 3, 4, 5};
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer wrote(Octets{16, 17}), read(3), far(2);
    const Message messages[] = {{.address = kChip, .read = false, .data = wrote.bytes},
                                {.address = kChip, .read = true, .data = read.bytes},
                                {.address = kChip, .read = false, .data = {}},
                                {.address = kFar, .read = true, .data = far.bytes},
                                {.address = kFar, .read = false, .data = wrote.bytes}};
    REQUIRE(adapter->transfer(messages));
    CHECK(read.octets() == Octets{1, 2, 3});
    CHECK(far.octets() == Octets{4, 5});
    CHECK(wrote.octets() == Octets{16, 17});
    REQUIRE(fake.transfers.size() == 1);
    CHECK(fake.transfers[0] ==
          std::vector<FakeAdapter::Message>{{0x50, 0, 2, {16, 17}},
                                            {0x50, I2C_M_RD, 3, {}},
                                            {0x50, 0, 0, {}},
                                            {0x3ff, I2C_M_RD | I2C_M_TEN, 2, {}},
                                            {0x3ff, I2C_M_TEN, 2, {16, 17}}});
    CHECK(fake.requests == std::vector<unsigned long>{I2C_FUNCS, I2C_RDWR});
  });
}

TEST_CASE("a transaction has at most 42 messages, each at most 8192 bytes", "[host][hostile]") {
  FakeAdapter fake;
  fake.functions = kI2c;
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer most(Octets(Adapter::kMaxMessageBytes, 7));
    std::vector<Message> messages(Adapter::kMaxMessages,
                                  {.address = kChip, .read = false, .data = most.bytes});
    REQUIRE(adapter->transfer(messages));
    REQUIRE(fake.transfers.size() == 1);
    REQUIRE(fake.transfers[0].size() == 42);
    CHECK(fake.transfers[0].back() == FakeAdapter::Message{0x50, 0, 8192, most.octets()});
    messages.push_back(messages[0]);
    check_error(adapter->transfer(messages), EINVAL, "I2C_RDWR");
    CHECK(fake.transfers.size() == 1);
  });
}

TEST_CASE("a transaction that the kernel did in part, or not, is an error", "[host]") {
  FakeAdapter fake;
  fake.functions = kI2c;
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer byte(1);
    const Message one{.address = kChip, .read = true, .data = byte.bytes};
    const Message messages[] = {one, one};
    for (const int done : {0, 1, 3}) {
      CAPTURE(done);
      fake.done = done;
      check_error(adapter->transfer(messages), EIO, "I2C_RDWR");
    }
    fake.done.reset();
    for (const int error : kErrors) {
      CAPTURE(error);
      fake.refused = {{I2C_RDWR, error}};
      check_error(adapter->transfer(messages), error, "I2C_RDWR");
    }
    fake.refused.clear();
    CHECK(adapter->transfer(messages));
  });
}

TEST_CASE("addresses of 10 bits are only for adapters that have them", "[host]") {
  for (const unsigned long functions : {kI2c, kSmbus}) {
    CAPTURE(functions);
    FakeAdapter fake;
    fake.functions = functions;
    with(fake, [&] {
      const auto adapter = open_adapter();
      Buffer byte(1);
      const Message messages[] = {{.address = kChip, .read = false, .data = byte.bytes},
                                  {.address = kFar, .read = true, .data = byte.bytes}};
      check_error(adapter->transfer(messages), ENOTSUP, "I2C address of 10 bits");
      CHECK(fake.requests == std::vector<unsigned long>{I2C_FUNCS});
    });
  }
}

TEST_CASE("an adapter that can do SMBus alone gets its commands", "[host]") {
  struct Row {
    const char* name;
    Octets written;
    int reads;  // -1: nothing is read
    FakeAdapter::Command command;
    Octets answer, read;
  };
  constexpr std::uint8_t kWrite = I2C_SMBUS_WRITE, kRead = I2C_SMBUS_READ;
  const Row rows[] = {
      {"quick", {}, -1, {false, 0x50, kWrite, 0, I2C_SMBUS_QUICK, {}}, {}, {}},
      {"send byte", {9}, -1, {false, 0x50, kWrite, 9, I2C_SMBUS_BYTE, {}}, {}, {}},
      {"write byte", {9, 1}, -1, {false, 0x50, kWrite, 9, I2C_SMBUS_BYTE_DATA, {1}}, {}, {}},
      {"write block",
       {9, 1, 2, 3},
       -1,
       {false, 0x50, kWrite, 9, I2C_SMBUS_I2C_BLOCK_DATA, {3, 1, 2, 3}},
       {},
       {}},
      {"read byte", {9}, 1, {false, 0x50, kRead, 9, I2C_SMBUS_BYTE_DATA, {0}}, {5}, {5}},
      {"read block",
       {9},
       3,
       {false, 0x50, kRead, 9, I2C_SMBUS_I2C_BLOCK_DATA, {3, 0, 0, 0}},
       {3, 5, 6, 7},
       {5, 6, 7}},
  };
  FakeAdapter fake;
  fake.functions = kSmbus;
  with(fake, [&] {
    const auto adapter = open_adapter();
    for (const Row& row : rows) {
      CAPTURE(row.name);
      fake.commands.clear();
      fake.requests.clear();
      fake.answer = row.answer;
      Buffer written(row.written), read(row.reads < 0 ? 0 : static_cast<std::size_t>(row.reads));
      std::vector<Message> messages{{.address = kChip, .read = false, .data = written.bytes}};
      if (row.reads >= 0) {
        messages.push_back({.address = kChip, .read = true, .data = read.bytes});
      }
      REQUIRE(adapter->transfer(messages));
      CHECK(fake.commands == std::vector{row.command});
      CHECK(read.octets() == row.read);
      CHECK(fake.requests == std::vector<unsigned long>{I2C_TENBIT, I2C_SLAVE, I2C_SMBUS});
    }
  });
}

TEST_CASE("each SMBus command names its address", "[host]") {
  FakeAdapter fake;
  fake.functions = kSmbus | I2C_FUNC_10BIT_ADDR;
  with(fake, [&] {
    const auto adapter = open_adapter();
    for (const Address address : {kChip, kFar, Address{.number = 0x20}}) {
      const Message message{.address = address, .read = false, .data = {}};
      REQUIRE(adapter->transfer(std::span(&message, 1)));
      CHECK(fake.commands.back().ten_bit == address.ten_bit);
      CHECK(fake.commands.back().address == address.number);
    }
  });
}

TEST_CASE("an SMBus command that fails says where, and the next one is whole", "[host]") {
  struct Row {
    unsigned long request;
    const char* name;
  };
  FakeAdapter fake;
  fake.functions = kSmbus;
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer bytes(Octets{9, 1});
    const Message message{.address = kChip, .read = false, .data = bytes.bytes};
    for (const Row& row : {Row{I2C_TENBIT, "I2C_TENBIT"}, Row{I2C_SLAVE, "I2C_SLAVE"},
                           Row{I2C_SMBUS, "I2C_SMBUS"}}) {
      for (const int error : kErrors) {
        CAPTURE(row.name, error);
        fake.refused = {{row.request, error}};
        check_error(adapter->transfer(std::span(&message, 1)), error, row.name);
        CHECK(fake.requests.back() == row.request);
      }
    }
    CHECK(fake.commands.empty());
    fake.refused.clear();
    CHECK(adapter->transfer(std::span(&message, 1)));
  });
}

TEST_CASE("what is no SMBus command, or none of this adapter, is not asked for", "[host]") {
  FakeAdapter fake;
  fake.functions = I2C_FUNC_SMBUS_QUICK;
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer bytes(Octets{9, 1});
    const Message write{.address = kChip, .read = false, .data = bytes.bytes};
    const Message messages[] = {write, write};
    check_error(adapter->transfer(std::span(&write, 1)), ENOTSUP, "SMBus command");
    check_error(adapter->transfer(messages), ENOTSUP, "SMBus command");
    CHECK(fake.requests == std::vector<unsigned long>{I2C_FUNCS});
  });
}

TEST_CASE("a block of another length than was asked for is an error", "[host][hostile]") {
  FakeAdapter fake;
  fake.functions = kSmbus;
  with(fake, [&] {
    const auto adapter = open_adapter();
    Buffer number(Octets{9}), read(3);
    const Message messages[] = {{.address = kChip, .read = false, .data = number.bytes},
                                {.address = kChip, .read = true, .data = read.bytes}};
    for (const int length : {0, 2, 4, 32, 255}) {
      CAPTURE(length);
      fake.answer = {static_cast<std::uint8_t>(length)};
      check_error(adapter->transfer(messages), EIO, "SMBus block");
      CHECK(read.octets() == Octets(3, 0xee));
    }
  });
}

}  // namespace
}  // namespace vmm::virtio_i2c
