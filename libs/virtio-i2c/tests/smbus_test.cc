// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/smbus.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <vector>

namespace vmm::virtio_i2c {
namespace {

constexpr Address kChip{.number = 0x50};
constexpr unsigned long kAll = I2C_FUNC_SMBUS_EMUL;

/// A message of a test: the bytes to write, or how many to read.
struct Part {
  std::vector<std::uint8_t> write;
  int read = -1;
  Address to = kChip;
};

/// The messages of parts, and what they refer to.
struct Transaction {
  explicit Transaction(const std::vector<Part>& parts) {
    for (const Part& part : parts) {
      const std::size_t bytes = part.read < 0 ? part.write.size() : std::size_t(part.read);
      auto& room = data.emplace_back(bytes);
      if (part.read < 0)
        std::ranges::copy(part.write, reinterpret_cast<std::uint8_t*>(&*room.begin()));
      messages.push_back({.address = part.to, .read = part.read >= 0, .data = room});
    }
  }

  std::vector<std::vector<std::byte>> data;
  std::vector<Message> messages;
};

std::vector<std::uint8_t> some(std::size_t count, std::uint8_t first) {
  std::vector<std::uint8_t> bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
  return bytes;
}

TEST_CASE("transactions that are an SMBus command on the wire", "[smbus]") {
  struct Row {
    const char* name;
    std::vector<Part> parts;
    std::uint32_t size;
    std::uint8_t read_write;
    std::uint8_t command;
    unsigned long needed;
  };
  const std::vector<Row> rows{
      {"quick write", {{{}}}, I2C_SMBUS_QUICK, I2C_SMBUS_WRITE, 0, I2C_FUNC_SMBUS_QUICK},
      {"quick read", {{{}, 0}}, I2C_SMBUS_QUICK, I2C_SMBUS_READ, 0, I2C_FUNC_SMBUS_QUICK},
      {"send byte", {{{7}}}, I2C_SMBUS_BYTE, I2C_SMBUS_WRITE, 7, I2C_FUNC_SMBUS_WRITE_BYTE},
      {"receive byte", {{{}, 1}}, I2C_SMBUS_BYTE, I2C_SMBUS_READ, 0, I2C_FUNC_SMBUS_READ_BYTE},
      {"write byte",
       {{{7, 8}}},
       I2C_SMBUS_BYTE_DATA,
       I2C_SMBUS_WRITE,
       7,
       I2C_FUNC_SMBUS_WRITE_BYTE_DATA},
      {"read byte",
       {{{7}}, {{}, 1}},
       I2C_SMBUS_BYTE_DATA,
       I2C_SMBUS_READ,
       7,
       I2C_FUNC_SMBUS_READ_BYTE_DATA},
      {"write word",
       {{{7, 8, 9}}},
       I2C_SMBUS_WORD_DATA,
       I2C_SMBUS_WRITE,
       7,
       I2C_FUNC_SMBUS_WRITE_WORD_DATA},
      {"read word",
       {{{7}}, {{}, 2}},
       I2C_SMBUS_WORD_DATA,
       I2C_SMBUS_READ,
       7,
       I2C_FUNC_SMBUS_READ_WORD_DATA},
      {"process call",
       {{{7, 8, 9}}, {{}, 2}},
       I2C_SMBUS_PROC_CALL,
       I2C_SMBUS_READ,
       7,
       I2C_FUNC_SMBUS_PROC_CALL},
      {"write a block",
       {{some(33, 7)}},
       I2C_SMBUS_I2C_BLOCK_DATA,
       I2C_SMBUS_WRITE,
       7,
       I2C_FUNC_SMBUS_WRITE_I2C_BLOCK},
      {"read a block",
       {{{7}}, {{}, 32}},
       I2C_SMBUS_I2C_BLOCK_DATA,
       I2C_SMBUS_READ,
       7,
       I2C_FUNC_SMBUS_READ_I2C_BLOCK},
      {"read a short block",
       {{{7}}, {{}, 3}},
       I2C_SMBUS_I2C_BLOCK_DATA,
       I2C_SMBUS_READ,
       7,
       I2C_FUNC_SMBUS_READ_I2C_BLOCK},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const Transaction transaction(row.parts);
    const auto command = to_smbus(transaction.messages, kAll);
    REQUIRE(command);
    CHECK(command->address == kChip);
    CHECK(command->size == row.size);
    CHECK(command->read_write == row.read_write);
    CHECK(command->command == row.command);
    CHECK(to_smbus(transaction.messages, row.needed));
    const auto unable = to_smbus(transaction.messages, kAll & ~row.needed);
    REQUIRE_FALSE(unable);
    CHECK(unable.error().is_os(ENOTSUP));
  }
}

TEST_CASE("what a command writes", "[smbus]") {
  const auto plan = [](std::vector<std::uint8_t> bytes, unsigned long functions) {
    const Transaction transaction({{std::move(bytes)}});
    const auto command = to_smbus(transaction.messages, functions);
    REQUIRE(command);
    return *command;
  };
  CHECK(plan({7, 8}, kAll).data.byte == 8);
  CHECK(plan({7, 0x34, 0x12}, kAll).data.word == 0x1234);
  const SmbusCommand block = plan({7, 4, 5, 6}, kAll);
  CHECK(std::equal(block.data.block, block.data.block + 4, some(4, 3).begin()));
}

TEST_CASE("a block with its length is one of SMBus for adapters without the other", "[smbus]") {
  constexpr unsigned long kBlock = I2C_FUNC_SMBUS_WRITE_BLOCK_DATA;
  const Transaction good({{{7, 3, 4, 5, 6}}});
  const auto command = to_smbus(good.messages, kBlock);
  REQUIRE(command);
  CHECK(command->size == I2C_SMBUS_BLOCK_DATA);
  CHECK(std::equal(command->data.block, command->data.block + 4, some(4, 3).begin()));
  std::vector<std::uint8_t> longest = some(34, 0);
  longest[1] = 32;
  CHECK(to_smbus(Transaction({{longest}}).messages, kAll));
  for (const int wrong : {0, 2, 4, 255}) {
    CAPTURE(wrong);
    CHECK_FALSE(
        to_smbus(Transaction({{{7, static_cast<std::uint8_t>(wrong), 4, 5, 6}}}).messages, kBlock));
  }
}

TEST_CASE("transactions that are no SMBus command", "[smbus][hostile]") {
  const std::vector<std::vector<Part>> rows{
      {{{}, 2}},               // read without a command
      {{{7}}, {{}, 0}},        // write, then a quick read
      {{{7}}, {{}, 33}},       // a block too long
      {{{}}, {{}, 1}},         // a quick write before
      {{{7, 8}}, {{}, 1}},     // two bytes of command
      {{{7, 8, 9}}, {{}, 1}},  // half a process call
      {{{7, 8, 9}}, {{}, 3}},
      {{some(34, 7)}},  // a block too long
      {{some(8192, 7)}},
      {{{7}}, {{8}}},                      // two writes
      {{{}, 1}, {{}, 1}},                  // two reads
      {{{}, 1}, {{7}}},                    // a read first
      {{{7}}, {{}, 1, {.number = 0x51}}},  // two devices
      {{{7}}, {{}, 1}, {{7}}},             // more than a command
  };
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    const auto command = to_smbus(Transaction(rows[i]).messages, ~0ul);
    REQUIRE_FALSE(command);
    CHECK(command.error().is_os(ENOTSUP));
  }
}

TEST_CASE("what a command has read goes to the driver", "[smbus]") {
  std::vector<std::byte> to(3);
  SmbusCommand command;
  CHECK(take_answer(command, {}));
  command.size = I2C_SMBUS_BYTE;
  command.data.byte = 9;
  REQUIRE(take_answer(command, std::span(to).first(1)));
  CHECK(to[0] == std::byte{9});
  for (const auto size : {I2C_SMBUS_WORD_DATA, I2C_SMBUS_PROC_CALL}) {
    command.size = static_cast<std::uint32_t>(size);
    command.data.word = 0x1234;
    REQUIRE(take_answer(command, std::span(to).first(2)));
    CHECK(to[0] == std::byte{0x34});
    CHECK(to[1] == std::byte{0x12});
  }
  command.size = I2C_SMBUS_I2C_BLOCK_DATA;
  std::ranges::copy(some(4, 3), command.data.block);
  REQUIRE(take_answer(command, to));
  CHECK(to[2] == std::byte{6});
  command.data.block[0] = 2;
  CHECK_FALSE(take_answer(command, to));
}

}  // namespace
}  // namespace vmm::virtio_i2c
