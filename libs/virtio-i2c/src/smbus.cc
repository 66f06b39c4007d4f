// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "smbus.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "vmm/base/endian.h"

namespace vmm::virtio_i2c {
namespace {

Unexpected<Error> unsupported() { return fail(Error::os(ENOTSUP, "SMBus command")); }

std::uint8_t byte_at(std::span<const std::byte> bytes, std::size_t index) {
  return std::to_integer<std::uint8_t>(bytes[index]);
}

/// Bytes of a block as the kernel wants them: their number, then themselves.
/// Precondition: at most I2C_SMBUS_BLOCK_MAX.
void put_block(SmbusCommand& command, std::span<const std::byte> bytes) {
  command.data.block[0] = static_cast<std::uint8_t>(bytes.size());
  std::memcpy(command.data.block + 1, bytes.data(), bytes.size());
}

// [command, number, bytes...] is an SMBus block; any bytes after a command are an I2C block, which
// is the same on the wire. The first is for adapters that cannot do the second.
Result<int> plan_block_write(std::span<const std::byte> bytes, unsigned long functions,
                             SmbusCommand& command) {
  const std::size_t count = bytes.size() - 1;
  if (count <= I2C_SMBUS_BLOCK_MAX && (functions & I2C_FUNC_SMBUS_WRITE_I2C_BLOCK) != 0) {
    command.size = I2C_SMBUS_I2C_BLOCK_DATA;
    put_block(command, bytes.subspan(1));
    return I2C_FUNC_SMBUS_WRITE_I2C_BLOCK;
  }
  if (count - 1 > I2C_SMBUS_BLOCK_MAX || byte_at(bytes, 1) != count - 1) return unsupported();
  command.size = I2C_SMBUS_BLOCK_DATA;
  put_block(command, bytes.subspan(2));
  return I2C_FUNC_SMBUS_WRITE_BLOCK_DATA;
}

// Returns what the adapter has to be able to do.
Result<int> plan_write(std::span<const std::byte> bytes, unsigned long functions,
                       SmbusCommand& command) {
  if (bytes.empty()) return I2C_FUNC_SMBUS_QUICK;
  command.command = byte_at(bytes, 0);
  switch (bytes.size()) {
    case 1:
      command.size = I2C_SMBUS_BYTE;
      return I2C_FUNC_SMBUS_WRITE_BYTE;
    case 2:
      command.size = I2C_SMBUS_BYTE_DATA;
      command.data.byte = byte_at(bytes, 1);
      return I2C_FUNC_SMBUS_WRITE_BYTE_DATA;
    case 3:
      command.size = I2C_SMBUS_WORD_DATA;
      command.data.word = load_le<std::uint16_t>(&bytes[1]);
      return I2C_FUNC_SMBUS_WRITE_WORD_DATA;
    default:
      return plan_block_write(bytes, functions, command);
  }
}

Result<int> plan_read(std::size_t bytes, SmbusCommand& command) {
  command.read_write = I2C_SMBUS_READ;
  if (bytes == 0) return I2C_FUNC_SMBUS_QUICK;
  if (bytes != 1) return unsupported();
  command.size = I2C_SMBUS_BYTE;
  return I2C_FUNC_SMBUS_READ_BYTE;
}

Result<int> plan_process_call(std::span<const std::byte> bytes, std::size_t answer,
                              SmbusCommand& command) {
  if (answer != 2) return unsupported();
  command.size = I2C_SMBUS_PROC_CALL;
  command.data.word = load_le<std::uint16_t>(&bytes[1]);
  return I2C_FUNC_SMBUS_PROC_CALL;
}

Result<int> plan_write_read(std::span<const std::byte> bytes, std::size_t answer,
                            SmbusCommand& command) {
  if (bytes.empty() || answer == 0) return unsupported();
  command.read_write = I2C_SMBUS_READ;
  command.command = byte_at(bytes, 0);
  if (bytes.size() == 3) return plan_process_call(bytes, answer, command);
  if (bytes.size() != 1 || answer > I2C_SMBUS_BLOCK_MAX) return unsupported();
  switch (answer) {
    case 1:
      command.size = I2C_SMBUS_BYTE_DATA;
      return I2C_FUNC_SMBUS_READ_BYTE_DATA;
    case 2:
      command.size = I2C_SMBUS_WORD_DATA;
      return I2C_FUNC_SMBUS_READ_WORD_DATA;
    default:
      command.size = I2C_SMBUS_I2C_BLOCK_DATA;
      command.data.block[0] = static_cast<std::uint8_t>(answer);
      return I2C_FUNC_SMBUS_READ_I2C_BLOCK;
  }
}

Result<int> plan(std::span<const Message> messages, unsigned long functions,
                 SmbusCommand& command) {
  const Message& first = messages.front();
  if (messages.size() == 1) {
    return first.read ? plan_read(first.data.size(), command)
                      : plan_write(first.data, functions, command);
  }
  const Message& second = messages[1];
  if (messages.size() != 2 || first.read || !second.read || first.address != second.address) {
    return unsupported();
  }
  return plan_write_read(first.data, second.data.size(), command);
}

}  // namespace

Result<SmbusCommand> to_smbus(std::span<const Message> messages, unsigned long functions) {
  SmbusCommand command{.address = messages.front().address};
  VMM_TRY(const int needed, plan(messages, functions, command));
  if ((functions & static_cast<unsigned long>(needed)) == 0) return unsupported();
  return command;
}

Result<void> take_answer(const SmbusCommand& command, std::span<std::byte> to) {
  if (to.empty()) return {};
  switch (command.size) {
    case I2C_SMBUS_WORD_DATA:
    case I2C_SMBUS_PROC_CALL:
      store_le(to.data(), command.data.word);
      return {};
    case I2C_SMBUS_I2C_BLOCK_DATA:
      if (command.data.block[0] != to.size()) return fail(Error::os(EIO, "SMBus block"));
      std::memcpy(to.data(), command.data.block + 1, to.size());
      return {};
    default:
      to[0] = std::byte{command.data.byte};
      return {};
  }
}

}  // namespace vmm::virtio_i2c
